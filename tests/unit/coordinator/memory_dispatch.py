"""The ports of dispatching in memory: trials to hand out, and queues to publish them to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from services.coordinator.ports import (
    HandedOut,
    HandOut,
    TrialBatch,
    TrialReference,
    WorkerClassStatus,
)
from services.core.errors import Unavailable


class MemoryDispatchStore:
    """Queued trials of one tuning run, and what was handed out; all of one class but those in `classes`."""

    def __init__(self) -> None:
        self.classes: dict[int, str] = {}
        self.queued: list[int] = []
        self.dispatched: list[int] = []
        self.recalls: list[int] = []
        self.down = False

    async def hand_out_trials(self, coordinator_id: str) -> HandedOut:
        if self.down:
            raise Unavailable("the store is away")
        numbers, self.queued = self.queued[:2], self.queued[2:]
        self.dispatched.extend(numbers)
        hand_outs = [
            HandOut(
                worker_class=self._class(number),
                batch=TrialBatch(
                    orchestration_id="o",
                    tuning_run_id="r",
                    trials=(TrialReference(number=number, attempt=0),),
                ),
            )
            for number in numbers
        ]
        statuses = tuple(
            WorkerClassStatus(
                worker_class=worker_class,
                live_workers=1,
                slots=2,
                outstanding=sum(self._class(each) == worker_class for each in self.dispatched),
            )
            for worker_class in sorted({"default", *self.classes.values()})
        )
        return HandedOut(hand_outs=tuple(hand_outs), worker_classes=statuses)

    def _class(self, number: int) -> str:
        return self.classes.get(number, "default")

    async def recall_trials(self, batches: Sequence[TrialBatch]) -> int:
        return self._recall([each.number for batch in batches for each in batch.trials])

    async def recall_all_trials(
        self, *, dispatched_for_seconds: float = 0.0, worker_class: str = ""
    ) -> int:
        return self._recall(
            [each for each in self.dispatched if worker_class in ("", self._class(each))]
        )

    def _recall(self, numbers: list[int]) -> int:
        self.recalls.append(len(numbers))
        self.dispatched = [number for number in self.dispatched if number not in numbers]
        self.queued.extend(numbers)
        return len(numbers)


class MemoryTrialDispatcher:
    """Queues in a list; `refuse` leaves that many publishes unconfirmed.

    Publishing to a class in `stuck` waits for its event and then fails; its depth is not told.
    """

    def __init__(self) -> None:
        self.stuck: dict[str, asyncio.Event] = {}
        self.published: list[int] = []
        self._classes: dict[int, str] = {}
        self.refuse = 0
        self.down = False
        self.listeners: list[Callable[[], None]] = []

    async def publish(self, hand_outs: Sequence[HandOut]) -> list[bool]:
        if self.down:
            raise Unavailable("the broker is away")
        answers = []
        for hand_out in hand_outs:
            if hand_out.worker_class in self.stuck:
                await self.stuck[hand_out.worker_class].wait()
                raise Unavailable("the queue does not answer")
            sure = self.refuse <= 0
            self.refuse -= 1
            if sure:
                self.published.extend(each.number for each in hand_out.batch.trials)
                for each in hand_out.batch.trials:
                    self._classes[each.number] = hand_out.worker_class
            answers.append(sure)
        return answers

    async def depth(self, worker_class: str) -> int:
        if self.down:
            raise Unavailable("the broker is away")
        if worker_class in self.stuck:
            raise Unavailable("the queue does not answer")
        return sum(self._classes[each] == worker_class for each in self.published)

    def add_connected_listener(self, listener: Callable[[], None]) -> None:
        self.listeners.append(listener)

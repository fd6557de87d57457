"""Dispatching: bring queued trials to the workers' queues, and again whatever the broker lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from services.coordinator.ports import (
    DispatchStore,
    HandedOut,
    HandOut,
    TrialDispatcher,
    WorkerClassStatus,
)
from services.coordinator.service.bell import Bell
from services.coordinator.service.capacity import Capacity
from services.core.errors import CrescendoError, Unavailable
from services.core.queue_naming import problem_of_worker_class

logger = structlog.get_logger()

_POLL_SECONDS = 1.0
_LOOK_AT_DEPTH_SECONDS = 5.0
# A worker may hold a message for five seconds before it claims or hands back its trials.
_EMPTY_SECONDS = 10.0
# How long the other classes wait for one whose queue does not answer.
_PATIENCE_SECONDS = 0.5


class Dispatching:
    """Hands out trials and publishes them; the store's queued rows are the truth, queues only a bell.

    Args:
        bell: rung when trials were created or slots became free.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        store: DispatchStore,
        dispatcher: TrialDispatcher,
        coordinator_id: str,
        capacity: Capacity,
        bell: Bell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._coordinator_id = coordinator_id
        self._capacity = capacity
        self._bell = bell
        self._clock = clock
        self._recall_all = False
        self._empty_since: dict[str, float] = {}
        self._looked_at = clock()
        self._publishing: set[asyncio.Task[bool]] = set()
        dispatcher.add_connected_listener(self._on_connected)

    def _on_connected(self) -> None:
        self._recall_all = True
        self._bell.ring()

    async def run(self) -> None:
        """Dispatches until cancelled; outages of store and broker are waited out."""
        try:
            while True:
                try:
                    await self.step()
                except CrescendoError as error:
                    logger.warning("dispatch waits", error=str(error), limit_seconds=10)
                    await asyncio.sleep(_POLL_SECONDS)
                await self._bell.wait(_POLL_SECONDS)
        finally:
            await self._stop_publishing()

    async def step(self) -> None:
        """Hands out and publishes all there is for now.

        A class whose queue is stuck is left behind: its batches are recalled when their publishing has
        failed, while the others go on.

        Raises: Unavailable: store or broker cannot be reached; nothing is lost by it.
        """
        if self._recall_all:
            # Cleared first: what is lost from here on is recalled by the next step.
            self._recall_all = False
            try:
                recalled = await self._store.recall_all_trials()
            except BaseException:
                self._recall_all = True
                raise
            logger.info("recalled after connecting", trials=recalled)
        while True:
            handed_out = await self._hand_out()
            self._capacity.hear(handed_out.worker_classes)
            if not handed_out.hand_outs:
                break
            if not await self._publish(handed_out.hand_outs):
                # What was refused is available again: asking at once would only spin.
                return
        await self._look_at_depths()

    async def _hand_out(self) -> HandedOut:
        try:
            handed_out = await self._store.hand_out_trials(self._coordinator_id)
        except Unavailable:
            # The answer may be lost while its trials are marked as dispatched.
            self._recall_all = True
            raise
        return _with_queues(handed_out)

    async def _publish(self, hand_outs: Sequence[HandOut]) -> bool:
        """Publishes batches, each class by itself. Returns: whether all is well so far."""
        by_class: dict[str, list[HandOut]] = {}
        for hand_out in hand_outs:
            by_class.setdefault(hand_out.worker_class, []).append(hand_out)
        tasks = [
            asyncio.create_task(self._publish_class(each), name=f"publish {worker_class}")
            for worker_class, each in by_class.items()
        ]
        self._publishing.update(tasks)
        for task in tasks:
            task.add_done_callback(self._published)
        done, slow = await asyncio.wait(tasks, timeout=_PATIENCE_SECONDS)
        # Raises what went wrong with the broker as a whole.
        answers = [task.result() for task in done]
        if slow:
            logger.warning("publishing is slow", classes=len(slow), limit_seconds=10)
        return all(answers)

    async def _publish_class(self, hand_outs: Sequence[HandOut]) -> bool:
        """Publishes batches of one class, and recalls those that are not certain to be in the queue.

        Returns: whether all are.
        Raises: Unavailable: the broker cannot be reached.
        """
        try:
            confirmed = await self._dispatcher.publish(hand_outs)
        except BaseException:
            # Also when cancelled: trials marked as dispatched but never sent would wait a minute.
            await asyncio.shield(self._recall(hand_outs))
            raise
        refused = [
            hand_out for hand_out, sure in zip(hand_outs, confirmed, strict=True) if not sure
        ]
        if refused:
            logger.warning("publishes not confirmed", batches=len(refused), limit_seconds=10)
            await self._recall(refused)
        return not refused

    def _published(self, task: asyncio.Task[bool]) -> None:
        self._publishing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.info("publishing failed", task=task.get_name(), error=str(error))

    async def _stop_publishing(self) -> None:
        tasks = tuple(self._publishing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _recall(self, hand_outs: Sequence[HandOut]) -> None:
        try:
            await self._store.recall_trials([each.batch for each in hand_outs])
        except CrescendoError as error:
            # The store makes them available by itself when nobody claims them.
            logger.warning("recall failed", error=str(error), limit_seconds=10)

    async def _look_at_depths(self) -> None:
        now = self._clock()
        if now - self._looked_at < _LOOK_AT_DEPTH_SECONDS:
            return
        self._looked_at = now
        for status in self._capacity.classes:
            if await self._is_empty_for_long(status, now):
                # A message handed to a worker is not in the queue any more, though unclaimed: only
                # those are recalled that had the time to be claimed or declined.
                self._empty_since[status.worker_class] = now
                recalled = await self._store.recall_all_trials(
                    dispatched_for_seconds=_EMPTY_SECONDS, worker_class=status.worker_class
                )
                if recalled:
                    logger.warning(
                        "recalled from an empty queue",
                        worker_class=status.worker_class,
                        trials=recalled,
                    )
                    self._bell.ring()

    async def _is_empty_for_long(self, status: WorkerClassStatus, now: float) -> bool:
        try:
            waits = (
                status.outstanding > 0 and await self._dispatcher.depth(status.worker_class) == 0
            )
        except Unavailable as error:
            # Not known: the other classes' queues may well answer.
            logger.info("queue not counted", worker_class=status.worker_class, error=str(error))
            return False
        if not waits:
            self._empty_since.pop(status.worker_class, None)
            return False
        return now - self._empty_since.setdefault(status.worker_class, now) >= _EMPTY_SECONDS


def _with_queues(handed_out: HandedOut) -> HandedOut:
    """Leaves out worker classes that no queue can be named after: no worker consumes for them.

    The store refuses them, but may know some of older sessions and plans. They must not hold up the
    others; their trials stay where they are, and are looked at again after a while.
    """
    known = {each.worker_class for each in handed_out.worker_classes}
    known.update(each.worker_class for each in handed_out.hand_outs)
    left_out = {
        name: problem for name in known if (problem := problem_of_worker_class(name)) is not None
    }
    if not left_out:
        return handed_out
    logger.warning(
        "worker classes without a queue are left out",
        problems=sorted(left_out.values()),
        limit_seconds=60,
    )
    return replace(
        handed_out,
        hand_outs=tuple(each for each in handed_out.hand_outs if each.worker_class not in left_out),
        worker_classes=tuple(
            each for each in handed_out.worker_classes if each.worker_class not in left_out
        ),
    )

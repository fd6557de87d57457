"""What the worker holds: trials that wait for a slot, run in one, or wait to be reported."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.core.pruning import Place
from services.core.space import Assignment
from services.core.trial import TrialKey
from services.worker.ports import Order, OrderKind

# Short trials are claimed this long before the slots run out of them: a claim takes milliseconds,
# and so do they.
_CLAIM_AHEAD_SECONDS = 0.05
# Others are claimed this long before a slot is expected to be free: sixteen trials that end at once are
# followed by sixteen claims, one after the other in the store.
_SPARE_SECONDS = 0.2
# Of longer trials none is claimed before its slot is free: how long it would wait nobody knows well
# enough, and another worker might have begun it.
_LONGEST_WITH_SPARE_SECONDS = 2.0
_DURATION_WEIGHT = 0.1
_KEPT_ORDERS = 10_000


@dataclass(slots=True, kw_only=True, eq=False)
class Work:
    """One claimed trial on its way through the worker.

    `session_id` is the session it was claimed under, whose it stays when another is opened; `splits`
    holds the objective's scores so far, `place` what decides between it and trials of equal score.
    """

    key: TrialKey
    session_id: str
    tuning_run_id: str
    parameters: Assignment
    place: Place = (0, 0)
    request_id: str = ""
    objective: str = ""
    splits: list[float] = field(default_factory=list)
    pruned: bool = False
    cancelled: bool = False


class Holding:
    """Counts slots and keeps every attempt from its claim to the store's answer to its result."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._waiting: deque[Work] = deque()
        self._running: dict[TrialKey, tuple[Work, asyncio.Task[Any]]] = {}
        self._ending_soon: set[TrialKey] = set()
        self._finishing: set[TrialKey] = set()
        self._stopped_early: OrderedDict[TrialKey, None] = OrderedDict()
        self._reserved = 0
        self._mean_seconds: float | None = None
        self._changed = asyncio.Event()
        self._arrived = asyncio.Condition()

    def held(self) -> list[TrialKey]:
        """Lists every attempt held."""
        return [*(each.key for each in self._waiting), *self._running, *self._finishing]

    def free_slots(self) -> int:
        """Counts the slots that nothing runs in or is on its way to."""
        taken = len(self._running) + len(self._waiting) + self._reserved
        return max(0, self.slots - taken)

    @property
    def has_waiting(self) -> bool:
        """Whether a slot that gets free now finds work."""
        return bool(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits or runs."""
        return not self._waiting and not self._running

    def is_running(self, key: TrialKey) -> bool:
        """Whether an attempt runs in a slot."""
        return key in self._running

    async def reserve(self, *, patience_seconds: float) -> bool:
        """Waits for room for one more batch, and keeps it for the caller until `release`."""
        if not await self._until(self._has_room, patience_seconds):
            return False
        self._reserved += 1
        return True

    def release(self) -> None:
        """Gives a reservation back."""
        self._reserved -= 1
        self._notify()

    async def add(self, works: Sequence[Work]) -> list[TrialKey]:
        """Takes claimed trials, but none that is held already, or was ordered to stop meanwhile.

        Returns: those that were ordered to stop.
        """
        stopped = [each.key for each in works if each.key in self._stopped_early]
        unwanted = {*self.held(), *stopped}
        new = [each for each in works if each.key not in unwanted]
        async with self._arrived:
            self._waiting.extend(new)
            self._arrived.notify(len(new))
        return stopped

    async def next(self) -> Work:
        """Waits for a trial to run."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self._waiting)
            return self._waiting.popleft()

    def started(self, work: Work, task: asyncio.Task[Any]) -> None:
        """Notes that a trial runs as a task; cancelling the task stops it."""
        self._running[work.key] = (work, task)
        mean = self._mean_seconds
        if mean is not None and mean <= _LONGEST_WITH_SPARE_SECONDS:
            delay = max(0.0, mean - _SPARE_SECONDS)
            asyncio.get_running_loop().call_later(delay, self._ends_soon, work.key)

    def stopped(self, work: Work, *, to_finish: bool, seconds: float | None = None) -> None:
        """Notes that a trial does not run any more.

        Args:
            to_finish: whether its result is still to be reported, so that it is still held.
            seconds: how long it ran, when that says something about others.
        """
        self._running.pop(work.key, None)
        self._ending_soon.discard(work.key)
        if to_finish:
            self._finishing.add(work.key)
        if seconds is not None:
            mean = self._mean_seconds
            self._mean_seconds = (
                seconds if mean is None else mean + _DURATION_WEIGHT * (seconds - mean)
            )
        self._notify()

    def finished(self, keys: Iterable[TrialKey]) -> None:
        """Forgets attempts whose results were answered."""
        self._finishing.difference_update(keys)

    def obey(self, order: Order) -> bool:
        """Stops a trial; one that is done is stopped already.

        An order may overtake the answer to the claim: one about a trial unknown here is kept.

        Returns: whether that was all: no slot had begun the trial.
        """
        for work in self._waiting:
            if work.key == order.trial:
                self._waiting.remove(work)
                self._notify()
                return True
        running = self._running.get(order.trial)
        if running is not None:
            work, task = running
            work.pruned = order.kind is OrderKind.PRUNE
            work.cancelled = order.kind is OrderKind.CANCEL
            task.cancel()
        elif order.trial not in self._finishing:
            self._stopped_early[order.trial] = None
            while len(self._stopped_early) > _KEPT_ORDERS:
                self._stopped_early.popitem(last=False)
        return False

    def take_waiting(self) -> list[TrialKey]:
        """Gives up the trials that no slot has begun."""
        keys = [each.key for each in self._waiting]
        self._waiting.clear()
        self._notify()
        return keys

    def stop_running(self) -> list[TrialKey]:
        """Stops the trials that run. Returns: their keys."""
        for _, task in self._running.values():
            task.cancel()
        return list(self._running)

    async def wait_idle(self, *, patience_seconds: float) -> bool:
        """Waits until nothing waits or runs. Returns: whether that came to be."""
        return await self._until(lambda: self.is_idle, patience_seconds)

    def _has_room(self) -> bool:
        if self.free_slots() > 0:
            return True
        if len(self._waiting) + self._reserved < len(self._ending_soon):
            return True
        if self._reserved or self._mean_seconds is None:
            return False
        backlog = self._mean_seconds * (len(self._waiting) + len(self._running)) / self.slots
        return backlog < _CLAIM_AHEAD_SECONDS

    def _ends_soon(self, key: TrialKey) -> None:
        if key in self._running:
            self._ending_soon.add(key)
            self._notify()

    async def _until(self, condition: Callable[[], bool], patience_seconds: float) -> bool:
        try:
            async with asyncio.timeout(patience_seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _notify(self) -> None:
        self._changed.set()

"""Virtual time and actors: one thing happens at a time, in an order that a seed decides alone.

Actors are coroutines driven by hand, not by an event loop: they wait for nothing but virtual time and
answers. Only the driver awaits real calls (statements on a database), one after another, so nothing
depends on how long those take.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Coroutine, Generator
from random import Random
from typing import Any

# What a waiting actor is woken with: a value, or an error to raise.
Resume = Callable[[Any, Exception | None], None]


class Waiting:
    """What an actor awaits; `start` is called once, with what wakes the actor."""

    def __init__(self, start: Callable[[Resume], None]) -> None:
        self.start = start

    def __await__(self) -> Generator[Waiting, Any, Any]:
        return (yield self)


class Process:
    """A part that may die, freeze and come back; what its actors wait for is lost with it."""

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self.scheduler = scheduler
        self.name = name
        self.is_alive = True
        self.frozen_until = 0.0
        self._actors: set[Coroutine[Waiting, Any, None]] = set()

    @property
    def is_frozen(self) -> bool:
        """Whether it stands still now."""
        return self.frozen_until > self.scheduler.now

    def spawn(self, actor: Coroutine[Waiting, Any, None]) -> None:
        """Starts an actor in this process."""
        self._actors.add(actor)
        self.scheduler.after(0.0, lambda: self._step(actor, None, None))

    def kill(self) -> None:
        """Ends all actors where they are, for good."""
        self.is_alive = False
        for actor in self._actors:
            actor.close()
        self._actors.clear()

    def freeze(self, seconds: float) -> None:
        """Lets nothing of it happen for a while; what comes meanwhile waits."""
        self.frozen_until = max(self.frozen_until, self.scheduler.now + seconds)

    def _step(
        self, actor: Coroutine[Waiting, Any, None], value: Any, error: Exception | None
    ) -> None:
        if actor not in self._actors:
            return
        if self.is_frozen:
            delay = self.frozen_until - self.scheduler.now
            self.scheduler.after(delay, lambda: self._step(actor, value, error))
            return
        try:
            waiting = actor.send(value) if error is None else actor.throw(error)
        except StopIteration:
            self._actors.discard(actor)
            return
        woken = False

        def resume(value: Any, error: Exception | None) -> None:
            nonlocal woken
            if not woken:
                woken = True
                self.scheduler.after(0.0, lambda: self._step(actor, value, error))

        waiting.start(resume)


class Scheduler:
    """Happenings in the order of their virtual time; those of one moment in the order they were made.

    Attributes:
        now: seconds since the beginning; runs on whatever the clock of the database does.
    """

    def __init__(self, random: Random) -> None:
        self.now = 0.0
        self.random = random
        self.steps = 0
        self._made = 0
        self._heap: list[tuple[float, int, Callable[[], Awaitable[None] | None]]] = []

    def after(self, seconds: float, happening: Callable[[], Awaitable[None] | None]) -> None:
        """Lets something happen later; what is awaited in it happens at one moment."""
        self._made += 1
        heapq.heappush(self._heap, (self.now + max(0.0, seconds), self._made, happening))

    def sleep(self, seconds: float) -> Waiting:
        """Lets an actor wait."""
        return Waiting(lambda resume: self.after(seconds, lambda: resume(None, None)))

    async def run(self, *, until: float) -> None:
        """Lets everything happen that is due by a moment."""
        while self._heap and self._heap[0][0] <= until:
            self.now, _, happening = heapq.heappop(self._heap)
            self.steps += 1
            outcome = happening()
            if outcome is not None:
                await outcome
        self.now = until

"""Following event logs: one watch per orchestration, shared by all that care about it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog

from services.coordinator.ports import TrialReader
from services.core.errors import CrescendoError, CursorOutOfRange, NotFound, Unavailable
from services.core.event import Event

logger = structlog.get_logger()

_RETRY_SECONDS = 0.5


class Subscription:
    """The events of one orchestration after `position`, without gap."""

    def __init__(self, position: int) -> None:
        self.position = position
        self._pages: deque[Sequence[Event]] = deque()
        self._news = asyncio.Event()
        self._failure: CrescendoError | None = None

    async def next(self, seconds: float) -> list[Event]:
        """Gives the events that came since the last call, waiting for some at most `seconds`.

        Raises:
            CursorOutOfRange, NotFound: the log cannot be followed any more.
            Unavailable: the log ended, and what was to come of it was given.
        """
        if not self._pages and self._failure is None:
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                return []
        if not self._pages and self._failure is not None:
            raise self._failure
        events = [event for page in self._pages for event in page]
        self._pages.clear()
        self._news.clear()
        return events

    def push(self, events: Sequence[Event]) -> None:
        """Adds a page."""
        self._pages.append(events)
        self.position = events[-1].sequence
        self._news.set()

    def fail(self, error: CrescendoError) -> None:
        """Lets the next call raise."""
        self._failure = error
        self._news.set()


class _Follower:
    def __init__(self, position: int) -> None:
        self.position = position
        self.subscriptions: set[Subscription] = set()
        self.task: asyncio.Task[None] | None = None


class Followers:
    """All watches this process holds.

    Args:
        tasks: owns the watches' tasks.
    """

    def __init__(self, reader: TrialReader, tasks: asyncio.TaskGroup) -> None:
        self._reader = reader
        self._tasks = tasks
        self._followers: dict[str, _Follower] = {}

    @asynccontextmanager
    async def follow(
        self, orchestration_id: str, *, after_sequence: int
    ) -> AsyncIterator[Subscription]:
        """Subscribes to an orchestration's events.

        The subscription starts after `after_sequence` or later: where the shared watch stands. Whatever
        is read from the store afterwards holds at least everything before that.
        """
        follower = self._followers.get(orchestration_id)
        if follower is None:
            follower = _Follower(after_sequence)
            self._followers[orchestration_id] = follower
            follower.task = self._tasks.create_task(
                self._watch(orchestration_id, follower), name=f"watch {orchestration_id}"
            )
        subscription = Subscription(follower.position)
        follower.subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            follower.subscriptions.discard(subscription)
            if not follower.subscriptions:
                self._drop(orchestration_id, follower)
                if follower.task is not None:
                    follower.task.cancel()

    async def _watch(self, orchestration_id: str, follower: _Follower) -> None:
        while True:
            try:
                pages = self._reader.watch(orchestration_id, after_sequence=follower.position)
                async for events in pages:
                    follower.position = events[-1].sequence
                    for subscription in follower.subscriptions:
                        subscription.push(events)
                self._drop(orchestration_id, follower)
                # An extension may have gone on with the log since: whoever still waits looks again.
                ended = Unavailable("the log has ended", reason="LOG_ENDED")
                for subscription in follower.subscriptions:
                    subscription.fail(ended)
                return
            except Unavailable as error:
                logger.info("watch broke", orchestration_id=orchestration_id, error=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
            except (CursorOutOfRange, NotFound) as error:
                self._drop(orchestration_id, follower)
                for subscription in follower.subscriptions:
                    subscription.fail(error)
                return
            except Exception as error:
                # The store is full of watches, or newer than this process: a matter of one
                # orchestration, which must not end the conducting of all others.
                logger.warning("watch failed", orchestration_id=orchestration_id, exc_info=error)
                await asyncio.sleep(_RETRY_SECONDS)

    def _drop(self, orchestration_id: str, follower: _Follower) -> None:
        # Whoever follows from now on starts a watch of their own.
        if self._followers.get(orchestration_id) is follower:
            del self._followers[orchestration_id]

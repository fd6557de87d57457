"""Watching: the event log as a stream that can be resumed anywhere without a gap."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from services.core.errors import CursorOutOfRange, Exhausted, FieldViolation, InvalidRequest
from services.core.run import Orchestration
from services.store.ports.reading import EventReader, RunReader
from services.store.ports.results import StoredEvent
from services.store.service.identifiers import canonical_id, not_found


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state a watch starts from; its `last_sequence` is the cursor it goes on from."""

    orchestration: Orchestration


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Events in order, without gap to what came before; never empty."""

    events: tuple[StoredEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmark:
    """A sign of life of a quiet watch."""

    sequence: int
    observed_at: datetime


Part: TypeAlias = Snapshot | Page | Bookmark


class Feed(Protocol):
    """Follows logs for all watchers of a replica."""

    async def next_page(
        self, orchestration_id: str, *, after: int, seconds: float
    ) -> Sequence[StoredEvent]:
        """Gives the next events after a sequence number as soon as there are any; none in time: empty.

        Raises: Unavailable: the replica is draining, or the database is away.
        """
        ...

    async def has_ended(self, orchestration_id: str, *, at: int) -> bool:
        """Whether the log's last event has this sequence number and is final."""
        ...

    def watching(self, orchestration_id: str) -> None:
        """A watcher has come."""
        ...

    def left(self, orchestration_id: str) -> None:
        """A watcher is gone."""
        ...


class Watching:
    """Streams logs to watchers, each of which is only a cursor."""

    def __init__(
        self,
        reader: RunReader,
        events: EventReader,
        feed: Feed,
        *,
        bookmark_seconds: float,
        max_watches: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._events = events
        self._feed = feed
        self._bookmark_seconds = bookmark_seconds
        self._max_watches = max_watches
        self._monotonic = monotonic
        self._watches = 0

    async def watch(
        self, orchestration_id: str, *, after_sequence: int | None
    ) -> AsyncGenerator[Part, None]:
        """Yields a snapshot (without cursor), then pages of events and bookmarks, to the final event.

        Raises:
            NotFound: there is no such orchestration.
            InvalidRequest: the cursor is negative.
            CursorOutOfRange: the cursor lies beyond the log's end.
            Exhausted: this replica has as many watchers as it admits.
            Unavailable: the replica is draining or the database away; resume after the last event.
        """
        orchestration_id = canonical_id("orchestration", orchestration_id)
        if after_sequence is not None and after_sequence < 0:
            raise InvalidRequest(
                [
                    FieldViolation(
                        field="after_sequence",
                        description=f"is {after_sequence}, must be 0 (the whole log) or above",
                    )
                ]
            )
        if self._watches >= self._max_watches:
            raise Exhausted(
                f"this store has {self._max_watches} watchers, as many as it admits",
                reason="TOO_MANY_WATCHES",
                retry_seconds=5.0,
            )
        self._watches += 1
        self._feed.watching(orchestration_id)
        try:
            if after_sequence is None:
                snapshot = await self._snapshot(orchestration_id)
                yield snapshot
                cursor = snapshot.orchestration.last_sequence
            else:
                await self._check_cursor(orchestration_id, after_sequence)
                cursor = after_sequence
            async with aclosing(self._follow(orchestration_id, cursor)) as parts:
                async for part in parts:
                    yield part
        finally:
            self._feed.left(orchestration_id)
            self._watches -= 1

    async def _follow(self, orchestration_id: str, cursor: int) -> AsyncGenerator[Part, None]:
        bookmark_at = self._monotonic() + self._bookmark_seconds
        while not await self._feed.has_ended(orchestration_id, at=cursor):
            events = await self._feed.next_page(
                orchestration_id,
                after=cursor,
                seconds=max(0.0, bookmark_at - self._monotonic()),
            )
            if events:
                if events[0].sequence != cursor + 1:
                    raise RuntimeError(
                        f"the log of {orchestration_id} has a gap after event {cursor}"
                    )
                cursor = events[-1].sequence
                yield Page(events=tuple(events))
            elif self._monotonic() >= bookmark_at:
                yield Bookmark(sequence=cursor, observed_at=await self._events.now())
            else:
                continue
            bookmark_at = self._monotonic() + self._bookmark_seconds

    async def _snapshot(self, orchestration_id: str) -> Snapshot:
        orchestration = await self._reader.orchestration(orchestration_id)
        if orchestration is None:
            raise not_found("orchestration", orchestration_id)
        return Snapshot(orchestration=orchestration)

    async def _check_cursor(self, orchestration_id: str, cursor: int) -> None:
        found = await self._events.last_sequences([orchestration_id])
        if orchestration_id not in found:
            raise not_found("orchestration", orchestration_id)
        last_sequence, _ = found[orchestration_id]
        if cursor > last_sequence:
            raise CursorOutOfRange(
                f"the log of orchestration {orchestration_id} ends at event {last_sequence}, there"
                f" is nothing to resume after event {cursor}",
                reason="CURSOR_AHEAD",
                metadata={"last_sequence": str(last_sequence)},
            )

"""Event logs in memory, and a change feed with watches on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.core.errors import Unavailable
from services.store.adapters.change_feed import PollingFeed
from services.store.adapters.event_rings import Rings
from services.store.ports.results import (
    LogPage,
    LogPosition,
    LogPositions,
    OrchestrationSnapshot,
    StoredEvent,
)
from services.store.service.identifiers import new_id
from services.store.service.watch import Page, Watching

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Log:
    events: list[StoredEvent] = field(default_factory=list)
    first: int = 1
    last: int = 0
    ended: bool = False

    def append(self, count: int = 1, *, size: int = 10, ended: bool = False) -> None:
        for _ in range(count):
            self.last += 1
            self.events.append(
                StoredEvent(sequence=self.last, occurred_at=NOW, encoded=bytes(size))
            )
        self.ended = ended

    @property
    def position(self) -> LogPosition:
        return LogPosition(first_sequence=self.first, last_sequence=self.last, ended=self.ended)


class MemoryReader:
    """Event logs in memory: a store's side of the port, whose answers can be held back."""

    def __init__(self) -> None:
        self.epoch = "a"
        self.logs: dict[str, Log] = {}
        self.reads = 0
        self.away = False
        self.gate: asyncio.Event | None = None
        self.held = 0
        self.renewed: list[str | None] = []

    def log(self, orchestration_id: str | None = None) -> tuple[str, Log]:
        identifier = orchestration_id or new_id()
        return identifier, self.logs.setdefault(identifier, Log())

    async def positions(self, orchestration_ids: Sequence[str]) -> LogPositions:
        self._check()
        found = {each: self.logs[each].position for each in orchestration_ids if each in self.logs}
        answer = LogPositions(epoch=self.epoch, observed_at=NOW, logs=found)
        if self.gate is not None:
            self.held += 1
            await self.gate.wait()
        return answer

    async def snapshot(self, orchestration_id: str) -> OrchestrationSnapshot | None:
        return None

    async def events(
        self, orchestration_id: str, *, after: int, max_events: int, max_bytes: int
    ) -> LogPage:
        self._check()
        self.reads += 1
        await asyncio.sleep(0)
        page: list[StoredEvent] = []
        for event in self.logs[orchestration_id].events:
            if event.sequence <= after:
                continue
            if len(page) == max_events or (
                page and sum(len(each.encoded) for each in page) + len(event.encoded) > max_bytes
            ):
                break
            page.append(event)
        follows = bool(page) and page[0].sequence == after + 1
        return LogPage(epoch=self.epoch if follows else None, events=tuple(page))

    async def begin_new_epoch(self, epoch: str | None) -> str | None:
        self.renewed.append(epoch)
        self.epoch = f"{self.epoch}+"
        return self.epoch

    def _check(self) -> None:
        if self.away:
            raise Unavailable("away", reason="DATABASE_UNAVAILABLE")


class Gaps:
    def __init__(self) -> None:
        self.found = 0

    def gap_found(self) -> None:
        self.found += 1


class Store:
    """A feed and the use case on it."""

    def __init__(self, reader: MemoryReader, feed: PollingFeed, bookmark_seconds: float) -> None:
        self.reader = reader
        self.feed = feed
        self.gaps = Gaps()
        self.watching = Watching(reader, feed, self.gaps, bookmark_seconds=bookmark_seconds)

    async def watch(
        self, identifier: str, after: int, seen: list[int] | None = None, epoch: str | None = None
    ) -> list[int]:
        seen = [] if seen is None else seen
        parts = self.watching.watch(identifier, after_sequence=after, epoch=epoch)
        async with aclosing(parts), asyncio.timeout(60):
            async for part in parts:
                if isinstance(part, Page):
                    seen += [each.sequence for each in part.events]
        return seen


@asynccontextmanager
async def running(
    reader: MemoryReader, *, rings: Rings | None = None, bookmark_seconds: float = 60.0
) -> AsyncIterator[Store]:
    feed = PollingFeed(reader, poll_seconds=0.01, rings=rings)
    polling = asyncio.create_task(feed.run())
    try:
        yield Store(reader, feed, bookmark_seconds)
    finally:
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)

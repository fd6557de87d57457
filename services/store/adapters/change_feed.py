"""The change feed: one poller per replica follows the logs that somebody watches here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Self

import structlog
from prometheus_client import Gauge, Histogram

from services.core.errors import Unavailable
from services.store.adapters.event_rings import (
    MAX_PAGE_BYTES,
    MAX_PAGE_EVENTS,
    Rings,
    Topic,
)
from services.store.adapters.page_reads import PageReads
from services.store.adapters.turns import Turns
from services.store.ports.reading import EventReader
from services.store.ports.results import LogPage, LogPosition, LogPositions, StoredEvent
from services.store.ports.watching import EpochOver, EventsMissing

logger = structlog.get_logger()

# Changes that come closer together are followed in one go.
_BREATH_SECONDS = 0.005
_LOGS_PER_READ = 2_000

WATCHED_LOGS = Gauge("crescendo_store_watched_logs", "Logs that somebody watches here.")
RING_BYTES = Gauge(
    "crescendo_store_watch_ring_bytes", "Memory held by the latest events of watched logs."
)
EVENT_LAG = Histogram(
    "crescendo_store_event_lag_seconds",
    "From an event to when this process has it for its watchers.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)


class PollingFeed:
    """Follows logs by polling, at once when this replica itself has changed one.

    Polling is the truth, so nothing is lost when a nudge is; a watcher is only a cursor into the log.

    Args:
        poll_seconds: how soon changes made through another replica are seen.
        rings: bounds the memory of what is kept.
    """

    def __init__(
        self,
        reader: EventReader,
        *,
        poll_seconds: float,
        on_stops: Callable[[], None] = lambda: None,
        rings: Rings | None = None,
    ) -> None:
        self._reader = reader
        self._pages = PageReads(reader)
        self._poll_seconds = poll_seconds
        self._on_stops = on_stops
        self._rings = rings or Rings()
        self._turns = Turns()
        self._topics: dict[str, Topic] = {}
        self._news: set[str] = set()
        self._nudged = asyncio.Event()
        self._draining = False
        self._observed_at: datetime | None = None

    # What use cases tell it (ports.workforce.ChangeSignal).

    def committed(self, orchestration_id: str) -> None:
        """A log has grown: look now if somebody watches it."""
        if orchestration_id in self._topics:
            self._news.add(orchestration_id)
            self._nudged.set()

    def stops_requested(self) -> None:
        """Trials must be stopped: passed on to whoever brings orders."""
        self._on_stops()

    # What watchers ask of it (ports.watching.Feed).

    def following(
        self, orchestration_id: str, *, epoch: str, position: LogPosition, observed_at: datetime
    ) -> Follower:
        """Follows a log that was found at a position; a log without followers is forgotten."""
        topic = self._topics.get(orchestration_id)
        if topic is None or topic.epoch != epoch:
            if topic is not None:
                self._end(orchestration_id, topic)
            topic = self._topics[orchestration_id] = Topic(epoch, position, self._turns)
        elif topic.note(position):
            # It was just reopened or has just grown, and this replica has not looked since.
            self._news.add(orchestration_id)
            self._nudged.set()
            topic.wake()
        self._observed_at = self._observed_at or observed_at
        WATCHED_LOGS.set(len(self._topics))
        return Follower(self, orchestration_id, topic)

    def left(self, orchestration_id: str, topic: Topic) -> None:
        """A follower is gone."""
        topic.watchers -= 1
        if topic.watchers == 0 and self._topics.get(orchestration_id) is topic:
            self._end(orchestration_id, topic)
            WATCHED_LOGS.set(len(self._topics))

    @property
    def watched(self) -> frozenset[str]:
        """The orchestrations that somebody watches here."""
        return frozenset(self._topics)

    @property
    def observed_at(self) -> datetime | None:
        """The database's time when it was last asked."""
        return self._observed_at

    @property
    def draining(self) -> bool:
        """Whether every watch must end."""
        return self._draining

    async def read(self, orchestration_id: str, *, epoch: str, after: int) -> LogPage:
        """Reads a page for a watcher who is behind the ring."""
        return await self._pages.read(orchestration_id, epoch=epoch, after=after)

    # The poller.

    def drain(self) -> None:
        """Ends every watch with Unavailable(DRAINING)."""
        self._draining = True
        for topic in self._topics.values():
            topic.wake()

    async def run(self) -> None:
        """Polls for as long as it is not cancelled."""
        loop = asyncio.get_running_loop()
        poll_at = loop.time()
        while True:
            everything = loop.time() >= poll_at
            self._nudged.clear()
            news, self._news = self._news, set()
            try:
                await self._poll(list(self._topics) if everything else sorted(news))
            except Unavailable as error:
                # Watchers wait: their streams go on where they were once the database is back.
                logger.warning("cannot follow event logs", reason=error.reason, limit_seconds=10)
                await asyncio.sleep(self._poll_seconds)
                poll_at = loop.time()
                continue
            if everything:
                poll_at = loop.time() + self._poll_seconds
            await asyncio.sleep(_BREATH_SECONDS)
            try:
                async with asyncio.timeout_at(poll_at):
                    await self._nudged.wait()
            except TimeoutError:
                continue

    async def _poll(self, orchestration_ids: Sequence[str]) -> None:
        for start in range(0, len(orchestration_ids), _LOGS_PER_READ):
            some = orchestration_ids[start : start + _LOGS_PER_READ]
            watched = {each: self._topics[each] for each in some if each in self._topics}
            if not watched:
                continue
            known = {each: topic.position for each, topic in watched.items()}
            positions = await self._reader.positions(list(watched))
            self._observed_at = positions.observed_at
            if await self._lost(positions, watched, known):
                return
            for orchestration_id, topic in watched.items():
                await self._look(orchestration_id, topic, positions)

    async def _lost(
        self,
        positions: LogPositions,
        watched: dict[str, Topic],
        known: dict[str, LogPosition],
    ) -> bool:
        """Notices a database that went back: what was known before it was asked is not there any more."""
        for orchestration_id, topic in watched.items():
            if topic.epoch != positions.epoch:
                continue
            found = positions.logs.get(orchestration_id)
            if found is None or found.last_sequence < known[orchestration_id].last_sequence:
                logger.error(
                    "the database has lost commits: a new epoch begins",
                    orchestration_id=orchestration_id,
                    last_sequence=known[orchestration_id].last_sequence,
                    found=None if found is None else found.last_sequence,
                )
                await self._reader.begin_new_epoch(positions.epoch)
                self._nudged.set()
                self._news.update(watched)
                return True
        return False

    async def _look(self, orchestration_id: str, topic: Topic, positions: LogPositions) -> None:
        if topic.epoch != positions.epoch:
            self._end(orchestration_id, topic)
            return
        position = positions.logs[orchestration_id]
        noted = topic.note(position)
        while topic.tail < topic.position.last_sequence and not topic.over:
            page = await self._reader.events(
                orchestration_id,
                after=topic.tail,
                max_events=MAX_PAGE_EVENTS,
                max_bytes=MAX_PAGE_BYTES,
            )
            if page.epoch != topic.epoch:
                # Another epoch, or retention was faster than this follower: its watchers find out.
                if not topic.broken:
                    topic.broken = True
                    topic.wake()
                break
            topic.broken = False
            self._rings.append(topic, page.events)
            EVENT_LAG.observe(
                max(0.0, (positions.observed_at - page.events[0].occurred_at).total_seconds())
            )
            topic.wake()
        RING_BYTES.set(self._rings.bytes)
        if noted:
            topic.wake()

    def _end(self, orchestration_id: str, topic: Topic) -> None:
        if self._topics.get(orchestration_id) is topic:
            del self._topics[orchestration_id]
        self._rings.forget(topic)
        topic.end()


class Follower:
    """One watcher's view of a log; see ports.watching.Follower."""

    __slots__ = ("_feed", "_loop", "_orchestration_id", "_topic")

    def __init__(self, feed: PollingFeed, orchestration_id: str, topic: Topic) -> None:
        self._feed = feed
        self._orchestration_id = orchestration_id
        self._topic = topic
        # Asked for once: the question is a call of the system, and watchers wait fifty times a second.
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        self._topic.watchers += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._feed.left(self._orchestration_id, self._topic)

    @property
    def observed_at(self) -> datetime | None:
        """The database's time when it was last asked."""
        return self._feed.observed_at

    def has_ended(self, *, at: int) -> bool:
        """Whether the log's last event has this sequence number and is final."""
        position = self._topic.position
        return not self._topic.over and position.ended and at >= position.last_sequence

    async def next_page(self, *, after: int, seconds: float) -> Sequence[StoredEvent]:
        """Gives the next events after a sequence number as soon as there are any; none in time: empty."""
        loop, topic = self._loop, self._topic
        deadline = loop.time() + seconds
        while True:
            if self._feed.draining:
                raise Unavailable(
                    "this store is stopping; resume after the last event you have, at any store",
                    reason="DRAINING",
                )
            if topic.over:
                raise EpochOver
            page = topic.page(after)
            if page:
                return page
            # What is not in the ring yet is on its way there, for all at once.
            if after < (topic.position.last_sequence if topic.broken else topic.tail):
                return await self._read(after)
            if self.has_ended(at=after):
                return ()
            if loop.time() >= deadline:
                return ()
            await topic.wait(deadline, loop)

    async def _read(self, after: int) -> Sequence[StoredEvent]:
        topic = self._topic
        page = await self._feed.read(self._orchestration_id, epoch=topic.epoch, after=after)
        if page.epoch is None:
            raise EventsMissing
        if page.epoch != topic.epoch or topic.over:
            raise EpochOver
        return page.events

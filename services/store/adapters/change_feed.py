"""The change feed: one poller per replica follows the logs that somebody watches here."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from services.core.errors import Unavailable
from services.store.ports.reading import EventReader
from services.store.ports.results import StoredEvent

logger = structlog.get_logger()

MAX_PAGE_EVENTS = 500
MAX_PAGE_BYTES = 256 * 1024
# What a ring keeps for watchers that are a little behind; those further back read for themselves.
_RING_EVENTS = 4096
_RING_BYTES = 4 * 1024 * 1024


@dataclass(slots=True, kw_only=True)
class _Topic:
    """A watched log: its latest events, and where it stands."""

    watchers: int = 0
    last_sequence: int | None = None
    ended: bool = False
    ring: deque[StoredEvent] = field(default_factory=deque)
    ring_bytes: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Lets everyone who waits look again."""
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    def append(self, events: Sequence[StoredEvent]) -> None:
        """Adds events that follow the last one."""
        for event in events:
            self.ring.append(event)
            self.ring_bytes += len(event.encoded)
        while len(self.ring) > _RING_EVENTS or (
            self.ring_bytes > _RING_BYTES and len(self.ring) > 1
        ):
            self.ring_bytes -= len(self.ring.popleft().encoded)


class PollingFeed:
    """Follows logs by polling, at once when this replica itself has changed one.

    Polling is the truth, so nothing is lost when a nudge is; a watcher is only a cursor into the log.

    Args:
        poll_seconds: how soon changes made through another replica are seen.
    """

    def __init__(
        self,
        reader: EventReader,
        *,
        poll_seconds: float,
        on_stops: Callable[[], None] = lambda: None,
    ) -> None:
        self._reader = reader
        self._poll_seconds = poll_seconds
        self._on_stops = on_stops
        self._topics: dict[str, _Topic] = {}
        self._nudged = asyncio.Event()
        self._draining = False

    # What use cases tell it (ports.workforce.ChangeSignal).

    def committed(self, orchestration_id: str) -> None:
        """A log has grown: look now if somebody watches it."""
        if orchestration_id in self._topics:
            self._nudged.set()

    def stops_requested(self) -> None:
        """Trials must be stopped: passed on to whoever brings orders."""
        self._on_stops()

    # What watchers ask of it (service.watch.Feed).

    def watching(self, orchestration_id: str) -> None:
        """A watcher has come."""
        topic = self._topics.setdefault(orchestration_id, _Topic())
        topic.watchers += 1
        self._nudged.set()

    def left(self, orchestration_id: str) -> None:
        """A watcher is gone; a log without watchers is forgotten."""
        topic = self._topics.get(orchestration_id)
        if topic is not None:
            topic.watchers -= 1
            if topic.watchers <= 0:
                del self._topics[orchestration_id]

    async def next_page(
        self, orchestration_id: str, *, after: int, seconds: float
    ) -> Sequence[StoredEvent]:
        """Gives the next events after a sequence number as soon as there are any; none in time: empty."""
        topic = self._topics[orchestration_id]
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            if self._draining:
                raise Unavailable(
                    "this store is stopping; resume after the last event", reason="DRAINING"
                )
            changed = topic.changed
            if topic.ring and topic.ring[0].sequence <= after + 1 <= topic.ring[-1].sequence:
                return _page(topic.ring, after)
            if topic.last_sequence is not None and after < topic.last_sequence:
                return await self._reader.events(
                    orchestration_id,
                    after=after,
                    max_events=MAX_PAGE_EVENTS,
                    max_bytes=MAX_PAGE_BYTES,
                )
            try:
                async with asyncio.timeout_at(deadline):
                    await changed.wait()
            except TimeoutError:
                return ()

    async def has_ended(self, orchestration_id: str, *, at: int) -> bool:
        """Whether the log's last event has this sequence number and is final."""
        topic = self._topics[orchestration_id]
        while topic.last_sequence is None:
            changed = topic.changed
            self._nudged.set()
            await changed.wait()
            if self._draining:
                return False
        return topic.ended and at >= topic.last_sequence

    # The poller.

    def drain(self) -> None:
        """Ends every watch with Unavailable(DRAINING)."""
        self._draining = True
        for topic in self._topics.values():
            topic.wake()

    async def run(self) -> None:
        """Polls for as long as it is not cancelled."""
        while True:
            self._nudged.clear()
            try:
                await self._poll()
            except Unavailable as error:
                # Watchers wait: their streams go on where they were once the database is back.
                logger.warning("cannot follow event logs", reason=error.reason)
                await asyncio.sleep(self._poll_seconds)
            try:
                async with asyncio.timeout(self._poll_seconds):
                    await self._nudged.wait()
            except TimeoutError:
                continue

    async def _poll(self) -> None:
        # An ended log never grows, unless it is reopened, which its state then tells.
        watched = list(self._topics)
        if not watched:
            return
        found = await self._reader.last_sequences(watched)
        for orchestration_id, (last_sequence, ended) in found.items():
            topic = self._topics.get(orchestration_id)
            if topic is None:
                continue
            if topic.last_sequence is None:
                # Watchers read what was before they came by themselves; the ring begins here.
                topic.last_sequence, topic.ended = last_sequence, ended
                topic.wake()
            elif last_sequence > topic.last_sequence or ended != topic.ended:
                await self._follow(orchestration_id, topic, last_sequence)
                # Only a log that was followed to its end has ended for its watchers.
                topic.ended = ended and topic.last_sequence == last_sequence
                topic.wake()

    async def _follow(self, orchestration_id: str, topic: _Topic, last_sequence: int) -> None:
        while (known := topic.last_sequence or 0) < last_sequence:
            events = await self._reader.events(
                orchestration_id, after=known, max_events=MAX_PAGE_EVENTS, max_bytes=MAX_PAGE_BYTES
            )
            if not events:
                return
            topic.append(events)
            topic.last_sequence = events[-1].sequence
            topic.wake()


def _page(ring: deque[StoredEvent], after: int) -> list[StoredEvent]:
    first = after + 1 - ring[0].sequence
    page: list[StoredEvent] = []
    size = 0
    for place in range(first, min(len(ring), first + MAX_PAGE_EVENTS)):
        event = ring[place]
        size += len(event.encoded)
        if page and size > MAX_PAGE_BYTES:
            break
        page.append(event)
    return page

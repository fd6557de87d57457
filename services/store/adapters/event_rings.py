"""The latest events of watched logs, in memory, within one bound for all of them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence

from services.store.adapters.turns import Turns
from services.store.ports.results import LogPosition, StoredEvent

MAX_PAGE_EVENTS = 500
MAX_PAGE_BYTES = 256 * 1024
# What a ring keeps for watchers that are a little behind; those further back read from the database.
_RING_BYTES = 4 * 1024 * 1024
# Of all rings together, however many logs are watched.
_ALL_RINGS_BYTES = 64 * 1024 * 1024
# What an event takes beside its bytes.
_EVENT_BYTES = 250


class Topic:
    """A watched log: its latest events, and where it stands.

    Attributes:
        epoch: the log belongs to; it never changes. In another epoch it is another topic.
        watchers: how many follow it.
        position: where the log stands, as far as is known.
        tail: the last event that was followed to; the ring ends there.
        over: another epoch has begun.
        broken: the events behind the tail could not be had; whoever waits for them must look why.

    Args:
        turns: in which those who wait for a change are woken.
    """

    __slots__ = (
        "_pages",
        "_ring",
        "_ring_bytes",
        "_turns",
        "_waiting",
        "broken",
        "epoch",
        "over",
        "position",
        "tail",
        "watchers",
    )

    def __init__(self, epoch: str, position: LogPosition, turns: Turns) -> None:
        self.epoch = epoch
        self.watchers = 0
        self.position = position
        self.tail = position.last_sequence
        self.over = False
        self.broken = False
        self._turns = turns
        # In the order they came to wait; a dict, since some leave before their turn.
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._ring: deque[StoredEvent] = deque()
        self._ring_bytes = 0
        self._pages: dict[int, tuple[StoredEvent, ...]] = {}

    @property
    def ring_bytes(self) -> int:
        """Memory the ring takes, about."""
        return self._ring_bytes

    def wake(self) -> None:
        """Lets everyone who waits look again, in turns."""
        waiting, self._waiting = self._waiting, {}
        self._turns.add(waiting)

    async def wait(self, until: float, loop: asyncio.AbstractEventLoop) -> None:
        """Waits until something changes, or a time of the running loop's clock has come."""
        waiter = loop.create_future()
        self._waiting[waiter] = None
        timer = loop.call_at(until, _end_wait, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiting.pop(waiter, None)

    def end(self) -> None:
        """Another epoch has begun: nothing of this one is given out any more."""
        self.over = True
        self.drop_ring()
        self.wake()

    def note(self, position: LogPosition) -> bool:
        """Takes in a newer position. Returns: whether it is one; answers may overtake one another."""
        if position.last_sequence <= self.position.last_sequence:
            return False
        self.position = position
        return True

    def append(self, events: Sequence[StoredEvent]) -> None:
        """Adds events that follow the tail."""
        for event in events:
            self._ring.append(event)
            self._ring_bytes += _weight(event)
        self.tail = events[-1].sequence
        while self._ring_bytes > _RING_BYTES and len(self._ring) > 1:
            self._ring_bytes -= _weight(self._ring.popleft())
        self._pages.clear()

    def drop_ring(self) -> None:
        """Forgets the events kept; watchers that are behind read them from the database."""
        self._ring.clear()
        self._pages.clear()
        self._ring_bytes = 0

    def page(self, after: int) -> tuple[StoredEvent, ...]:
        """Gives the ring's events after a sequence number, at most a page; none if it has not the next."""
        if not self._ring or not self._ring[0].sequence <= after + 1 <= self._ring[-1].sequence:
            return ()
        # Most watchers stand at the same place: they share one page.
        if after not in self._pages:
            self._pages[after] = self._cut(after)
        return self._pages[after]

    def _cut(self, after: int) -> tuple[StoredEvent, ...]:
        first = after + 1 - self._ring[0].sequence
        page: list[StoredEvent] = []
        size = 0
        for place in range(first, min(len(self._ring), first + MAX_PAGE_EVENTS)):
            event = self._ring[place]
            size += len(event.encoded)
            if page and size > MAX_PAGE_BYTES:
                break
            page.append(event)
        return tuple(page)


class Rings:
    """Keeps the memory of all rings within one bound: logs that were quiet longest lose theirs first.

    Args:
        max_bytes: of all rings together.
    """

    def __init__(self, max_bytes: int = _ALL_RINGS_BYTES) -> None:
        self._max_bytes = max_bytes
        self._by_age: OrderedDict[Topic, None] = OrderedDict()
        self.bytes = 0

    def append(self, topic: Topic, events: Sequence[StoredEvent]) -> None:
        """Adds events that follow a topic's tail."""
        before = topic.ring_bytes
        topic.append(events)
        self.bytes += topic.ring_bytes - before
        self._by_age[topic] = None
        self._by_age.move_to_end(topic)
        while self.bytes > self._max_bytes and self._by_age:
            self.forget(next(iter(self._by_age)))

    def forget(self, topic: Topic) -> None:
        """Drops a topic's ring."""
        self._by_age.pop(topic, None)
        self.bytes -= topic.ring_bytes
        topic.drop_ring()


def _end_wait(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _weight(event: StoredEvent) -> int:
    return len(event.encoded) + _EVENT_BYTES

"""What arrived at many watchers and when: each message decoded once however many it reached."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from tuning.v1 import run_service_pb2


@dataclass(frozen=True, slots=True)
class Page:
    """What one message brings: its events' first and last number, and when each was committed."""

    place: int
    first: int
    last: int
    moments: tuple[float, ...]


class Arrivals:
    """What arrived at all watchers, decoded once however many it reached."""

    def __init__(self) -> None:
        self._by_bytes: dict[bytes, Page] = {}
        self._pages: list[Page] = []
        self._arrivals = array("d")
        self._arrived = array("q")

    def page(self, message: bytes) -> Page:
        """Decodes a message, or finds it among those before; a snapshot or bookmark has no events."""
        page = self._by_bytes.get(message)
        if page is None:
            response = run_service_pb2.WatchOrchestrationResponse.FromString(message)
            events = response.events.events
            page = Page(
                len(self._pages),
                events[0].sequence if events else 0,
                events[-1].sequence if events else 0,
                tuple(each.occurred_at.ToNanoseconds() / 1e9 for each in events),
            )
            self._by_bytes[message] = page
            self._pages.append(page)
        return page

    def arrived(self, page: Page, at: float) -> None:
        """Notes that a message reached a watcher."""
        self._arrivals.append(at)
        self._arrived.append(page.place)

    def clear(self) -> None:
        """Forgets what arrived."""
        self._arrivals, self._arrived = array("d"), array("q")

    def latencies(self) -> list[float]:
        """Gives the seconds from each event's time in the database to each watcher, in no order."""
        return [
            at - moment
            for at, place in zip(self._arrivals, self._arrived, strict=True)
            for moment in self._pages[place].moments
        ]

    @property
    def messages(self) -> int:
        """Counts the messages that arrived."""
        return len(self._arrivals)

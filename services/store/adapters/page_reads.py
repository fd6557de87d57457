"""Pages read from the database once for all watchers who are behind by the same."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from services.store.adapters.event_rings import MAX_PAGE_BYTES, MAX_PAGE_EVENTS
from services.store.adapters.shared_reads import heard
from services.store.ports.reading import EventReader
from services.store.ports.results import LogPage

_KEPT_BYTES = 16 * 1024 * 1024
_EVENT_BYTES = 250

_Place = tuple[str, str, int]


class PageReads:
    """Reads pages of logs; a thousand watchers who start at once cost one read per page.

    Events never change, so a page that was read stays true for as long as its epoch.
    """

    def __init__(self, reader: EventReader, *, max_bytes: int = _KEPT_BYTES) -> None:
        self._reader = reader
        self._max_bytes = max_bytes
        self._under_way: dict[_Place, asyncio.Task[LogPage]] = {}
        self._kept: OrderedDict[_Place, LogPage] = OrderedDict()
        self._bytes = 0

    async def read(self, orchestration_id: str, *, epoch: str, after: int) -> LogPage:
        """Gives the events after a sequence number, at most a page; of whichever epoch there is.

        Raises: Unavailable: the database is away.
        """
        place = (epoch, orchestration_id, after)
        if place in self._kept:
            self._kept.move_to_end(place)
            return self._kept[place]
        reading = self._under_way.get(place)
        if reading is None:
            reading = asyncio.get_running_loop().create_task(self._read(place))
            self._under_way[place] = reading
            reading.add_done_callback(lambda _: self._under_way.pop(place, None))
            reading.add_done_callback(heard)
        # Others wait for it too: one watcher that goes away must not take it along.
        return await asyncio.shield(reading)

    async def _read(self, place: _Place) -> LogPage:
        epoch, orchestration_id, after = place
        page = await self._reader.events(
            orchestration_id, after=after, max_events=MAX_PAGE_EVENTS, max_bytes=MAX_PAGE_BYTES
        )
        if page.epoch == epoch:
            self._keep(place, page)
        return page

    def _keep(self, place: _Place, page: LogPage) -> None:
        self._kept[place] = page
        self._bytes += _size(page)
        while self._bytes > self._max_bytes and self._kept:
            self._bytes -= _size(self._kept.popitem(last=False)[1])


def _size(page: LogPage) -> int:
    return sum(len(each.encoded) + _EVENT_BYTES for each in page.events)

"""Where watches start, read once for all who ask at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from services.store.ports.reading import EventReader
from services.store.ports.results import LogPage, LogPositions, OrchestrationSnapshot

ValueT = TypeVar("ValueT")


class SharedReads(Generic[ValueT]):
    """Reads for many at once, each answer as fresh as if it had been read alone.

    Whoever asks while a read is under way shares the next one: it begins after they asked.
    """

    def __init__(self, read: Callable[[str], Awaitable[ValueT]]) -> None:
        self._read = read
        self._under_way: dict[str, asyncio.Task[ValueT]] = {}
        self._next: dict[str, asyncio.Task[ValueT]] = {}

    async def get(self, key: str) -> ValueT:
        """Reads what belongs to a key, alone or with others. Raises: what reading raises."""
        reading = self._next.get(key)
        if reading is None:
            reading = asyncio.get_running_loop().create_task(self._begin(key))
            reading.add_done_callback(heard)
            self._next[key] = reading
        # Others wait for it too: one that goes away must not take it along.
        return await asyncio.shield(reading)

    async def _begin(self, key: str) -> ValueT:
        before = self._under_way.get(key)
        if before is not None:
            await asyncio.wait({before})
        mine = self._next.pop(key)
        self._under_way[key] = mine
        try:
            return await self._read(key)
        finally:
            if self._under_way.get(key) is mine:
                del self._under_way[key]


class SharedEventReader:
    """An EventReader for watches: a thousand that come at once cost a read or two."""

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader
        self._snapshots = SharedReads(reader.snapshot)
        self._positions = SharedReads(self._position)

    async def positions(self, orchestration_ids: Sequence[str]) -> LogPositions:
        """Says where logs stand."""
        if len(orchestration_ids) == 1:
            return await self._positions.get(orchestration_ids[0])
        return await self._reader.positions(orchestration_ids)

    async def _position(self, orchestration_id: str) -> LogPositions:
        return await self._reader.positions([orchestration_id])

    async def snapshot(self, orchestration_id: str) -> OrchestrationSnapshot | None:
        """Gives what a watch starts from."""
        return await self._snapshots.get(orchestration_id)

    async def events(
        self, orchestration_id: str, *, after: int, max_events: int, max_bytes: int
    ) -> LogPage:
        """Gives the next events after a sequence number."""
        return await self._reader.events(
            orchestration_id, after=after, max_events=max_events, max_bytes=max_bytes
        )

    async def begin_new_epoch(self, epoch: str | None) -> str | None:
        """Begins a new epoch."""
        return await self._reader.begin_new_epoch(epoch)


def heard(task: asyncio.Task[Any]) -> None:
    """Takes note of a failure nobody waits for any more."""
    if not task.cancelled():
        task.exception()

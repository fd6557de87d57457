"""Orders: stopping trials within a second, wherever the wish came in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import structlog

from services.core.errors import Unavailable
from services.store.ports.results import Order, OrderKind
from services.store.ports.workforce import SessionStore

logger = structlog.get_logger()


class OrderBoard:
    """Brings orders to the streams of this replica within a second.

    Orders that are lost on the way come again with the next beat's answer.

    Args:
        poll_seconds: how soon stops asked for through another replica are seen.
    """

    def __init__(self, store: SessionStore, *, poll_seconds: float = 0.5) -> None:
        self._store = store
        self._poll_seconds = poll_seconds
        self._queues: dict[str, asyncio.Queue[list[Order] | None]] = {}
        self._nudged = asyncio.Event()
        self._draining = False

    def stops_requested(self) -> None:
        """Looks for orders now."""
        self._nudged.set()

    async def listen(self, session_id: str) -> AsyncGenerator[list[Order], None]:
        """Yields orders for a session until it has ended, listens anew, or this replica drains."""
        if self._draining:
            return
        queue: asyncio.Queue[list[Order] | None] = asyncio.Queue()
        displaced = self._queues.get(session_id)
        if displaced is not None:
            # Its connection may be dead without anybody knowing; nothing comes this way any more.
            displaced.put_nowait(None)
        self._queues[session_id] = queue
        try:
            while (orders := await queue.get()) is not None:
                yield orders
        finally:
            if self._queues.get(session_id) is queue:
                del self._queues[session_id]

    def drain(self) -> None:
        """Ends all streams, and those yet to come at once."""
        self._draining = True
        for queue in self._queues.values():
            queue.put_nowait(None)

    async def run(self) -> None:
        """Polls for as long as it is not cancelled."""
        while True:
            try:
                await self._poll()
            except Unavailable as error:
                logger.warning("cannot look for orders", reason=error.reason, limit_seconds=10)
            try:
                async with asyncio.timeout(self._poll_seconds):
                    await self._nudged.wait()
            except TimeoutError:
                continue
            self._nudged.clear()

    async def _poll(self) -> None:
        sessions = sorted(self._queues)
        if not sessions:
            return
        orders: dict[str, list[Order]] = {}
        for session_id, trial in await self._store.take_stops(sessions):
            orders.setdefault(session_id, []).append(Order(kind=OrderKind.CANCEL, trial=trial))
        for session_id, each in orders.items():
            if session_id in self._queues:
                self._queues[session_id].put_nowait(each)
        for session_id in await self._store.ended(sessions):
            if session_id in self._queues:
                self._queues[session_id].put_nowait(None)

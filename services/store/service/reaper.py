"""The reaper: ends sessions that have stopped beating."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from services.core.errors import Unavailable
from services.store.service.sessions import Sessions

logger = structlog.get_logger()


class Reaper:
    """Ends sessions whose leases ran out and queues their trials again; runs in every replica.

    It trusts an expired lease only after a full lease of uninterrupted contact with the database: while
    the database was away nobody could beat, and running work must not be thrown away for that.

    Args:
        monotonic: seconds on a clock that never jumps.
    """

    def __init__(
        self,
        sessions: Sessions,
        *,
        lease_seconds: float,
        tick_seconds: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._lease_seconds = lease_seconds
        self._tick_seconds = tick_seconds
        self._monotonic = monotonic
        self._contact_since: float | None = None
        self._last_contact = 0.0

    async def run(self) -> None:
        """Ticks for as long as it is not cancelled."""
        while True:
            await self.tick()
            await asyncio.sleep(self._tick_seconds)

    async def tick(self) -> None:
        """Reaps once, if contact has lasted long enough."""
        began = self._monotonic()
        if began - self._last_contact > self._lease_seconds / 3:
            # This process was frozen or starved: it may have kept workers from beating itself.
            self._contact_since = None
        try:
            await self._sessions.settle_ended()
            self._last_contact = self._monotonic()
            if self._contact_since is None:
                self._contact_since = began
            if began - self._contact_since < self._lease_seconds:
                return
            for session_id in await self._sessions.end_expired():
                logger.warning("session lost", session_id=session_id)
            await self._sessions.settle_ended()
        except Unavailable as error:
            self._contact_since = None
            logger.warning("cannot reap", reason=error.reason)

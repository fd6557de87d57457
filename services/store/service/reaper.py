"""The reaper: ends sessions that have stopped beating."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

import structlog

from services.core.errors import Unavailable
from services.store.service.sessions import Sessions

logger = structlog.get_logger()


class Reaper:
    """Ends sessions whose leases ran out and queues their trials again; runs in every replica.

    It trusts an expired lease only after a full lease of uninterrupted contact with the database: while
    the database was away nobody could beat, and running work must not be thrown away for that. Contact
    is interrupted by a call that fails or takes long, by a time in which this process itself stood
    still, and by a jump of the database's clock.

    Args:
        monotonic: seconds on a clock that never jumps.
    """

    def __init__(
        self,
        sessions: Sessions,
        *,
        lease_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._lease_seconds = lease_seconds
        self._monotonic = monotonic
        # Longer without a sign of the database, workers may have missed beats for it.
        self._longest_silence = lease_seconds / 3
        # Well within that: a silence of our own making must not count.
        self._tick_seconds = min(1.0, lease_seconds / 12)
        self._contact_since: float | None = None
        self._last_contact = 0.0
        self._last_clock: tuple[float, datetime] | None = None
        # Sessions that could not be settled come last: they must not keep others waiting.
        self._troubled: set[str] = set()

    async def run(self) -> None:
        """Ticks for as long as it is not cancelled."""
        while True:
            await self.tick()
            await asyncio.sleep(self._tick_seconds)

    async def tick(self) -> None:
        """Reaps once, if contact has lasted long enough."""
        try:
            await self._make_contact()
            await self._settle_ended()
            since = self._contact_since
            if since is None or self._last_contact - since < self._lease_seconds:
                return
            lost = await self._sessions.end_expired()
            for session_id in lost:
                logger.warning("session lost", session_id=session_id)
            if lost:
                await self._settle_ended()
        except Unavailable as error:
            self._contact_since = None
            logger.warning("cannot reap", reason=error.reason, limit_seconds=10)

    async def _make_contact(self) -> None:
        began = self._monotonic()
        clock = await self._sessions.clock()
        now = self._monotonic()
        if now - self._last_contact > self._longest_silence:
            # This process or the database stood still: workers may have been kept from beating.
            self._contact_since = None
        if self._last_clock is not None:
            moment, before = self._last_clock
            jump = (clock - before).total_seconds() - (now - moment)
            if abs(jump) > self._longest_silence:
                logger.warning("the database's clock jumped", seconds=round(jump, 3))
                self._contact_since = None
                await self._sessions.limit_leases()
        self._last_clock = (now, clock)
        self._last_contact = now
        if self._contact_since is None:
            self._contact_since = began

    async def _settle_ended(self) -> None:
        """Settles ended sessions one by one; one that cannot be settled does not stop the others.

        It stops early rather than lose touch with the database's clock: the next tick goes on.
        """
        began = self._monotonic()
        unsettled = await self._sessions.unsettled()
        self._troubled.intersection_update([session_id for session_id, _ in unsettled])
        for session_id, lost in sorted(unsettled, key=lambda each: each[0] in self._troubled):
            try:
                await self._sessions.settle(session_id, lost=lost)
            except Unavailable as error:
                self._troubled.add(session_id)
                logger.warning("session not settled", session_id=session_id, reason=error.reason)
            except Exception as error:
                self._troubled.add(session_id)
                logger.error("session not settled", session_id=session_id, exc_info=error)
            else:
                self._troubled.discard(session_id)
            if self._monotonic() - began > self._longest_silence / 2:
                return

"""Counts of what is open, read again and again over one connection that is kept."""

from __future__ import annotations

import contextlib
from typing import Any

import asyncpg

from tests.faults.support.background import LoopThread

_SECONDS = 10.0
_COUNTS = """
    SELECT
        (SELECT count(*) FROM crescendo.orchestrations
         WHERE state NOT IN ('completed', 'failed', 'cancelled')) AS orchestrations,
        (SELECT count(*) FROM crescendo.trials
         WHERE state IN ('queued', 'running')) AS trials,
        (SELECT count(*) FROM crescendo.sessions
         WHERE ended_at IS NOT NULL AND NOT settled) AS sessions,
        (SELECT coalesce(sum(succeeded + failed + pruned + cancelled), 0)
         FROM crescendo.orchestrations) AS ended_trials
"""


class Lookout:
    """Looks at a database many times a second; a connection that breaks is opened anew.

    Connecting costs more than counting: tests that wait would take the processor from what they test.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._loop = LoopThread()
        self._loop.start()
        self._connection: asyncpg.Connection[Any] | None = None

    def counts(self) -> dict[str, int]:
        """Counts orchestrations and trials that are open, unsettled sessions, and trials that have ended.

        Raises: asyncpg's errors, OSError, TimeoutError: the database is away.
        """
        return self._loop.run(self._counts(), seconds=3 * _SECONDS)

    def close(self) -> None:
        """Ends the connection and the thread; nothing can be counted any more."""
        self._loop.run(self._disconnect())
        self._loop.stop()

    async def _counts(self) -> dict[str, int]:
        kept = self._connection is not None
        try:
            row = await self._read()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await self._disconnect()
            if not kept:
                raise
            # The server was restarted since the last look.
            row = await self._read()
        return {key: int(value) for key, value in row.items()}

    async def _read(self) -> Any:
        if self._connection is None:
            self._connection = await asyncpg.connect(self._dsn, timeout=_SECONDS)
        return await self._connection.fetchrow(_COUNTS, timeout=_SECONDS)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError, asyncpg.InterfaceError):
                connection.terminate()

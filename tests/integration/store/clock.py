"""The database's clock in the hand of a test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from services.store.adapters.postgres.database import Database


class Clock:
    """Stops `crescendo.now()` of one database and moves it; every connection sees the same."""

    def __init__(self, database: Database, dsn: str) -> None:
        self._database = database
        self._name = urlsplit(dsn).path.lstrip("/")
        self.now = datetime.now(UTC)

    async def advance(self, seconds: float) -> None:
        """Moves the clock."""
        self.now += timedelta(seconds=seconds)
        await self._set(f"SET crescendo.now = '{self.now.isoformat()}'")

    async def release(self) -> None:
        """Lets the clock run again."""
        await self._set("RESET crescendo.now")

    async def _set(self, clause: str) -> None:
        async with self._database.beating() as connection:
            await connection.execute(f'ALTER DATABASE "{self._name}" {clause}')
        # Settings of a database hold for connections that begin afterwards.
        pools = (
            self._database.writes,
            self._database.reads,
            self._database.beats,
            self._database.transfers,
        )
        for pool in pools:
            await pool.expire_connections()

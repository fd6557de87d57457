"""Removing what is old, in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prometheus_client import Counter

from services.store.adapters.postgres.database import Database
from services.store.adapters.postgres.queries import QUERIES
from services.store.ports.retention import EndedLog, Forgotten

FORGOTTEN = Counter(
    "crescendo_store_forgotten_rows", "Rows removed because they were old.", ["kind"]
)


class PostgresRetention:
    """Removes old rows; the port says what each method promises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ended_before(
        self, seconds: float, *, after: EndedLog | None, limit: int
    ) -> Sequence[EndedLog]:
        """Lists logs whose orchestrations ended so long ago."""
        async with self._database.reading() as connection:
            found = await connection.fetch(
                QUERIES["ended_before"],
                seconds,
                None if after is None else after.ended_at,
                None if after is None else after.orchestration_id,
                limit,
            )
        return [
            EndedLog(orchestration_id=row["orchestration_id"], ended_at=row["ended_at"])
            for row in found
        ]

    async def forget_steps(
        self, orchestration_id: str, *, ended_before_seconds: float, limit: int
    ) -> Forgotten:
        """Removes what trials came to after each step."""
        return await self._forget("steps", orchestration_id, ended_before_seconds, limit=limit)

    async def forget_costs(
        self, orchestration_id: str, *, ended_before_seconds: float, limit: int
    ) -> Forgotten:
        """Removes what attempts cost."""
        return await self._forget("costs", orchestration_id, ended_before_seconds, limit=limit)

    async def forget_events(
        self, orchestration_id: str, *, ended_before_seconds: float, limit: int
    ) -> Forgotten:
        """Removes the oldest events of a log."""
        async with self._database.writing() as connection:
            row = await connection.fetchrow(
                QUERIES["forget_events"], orchestration_id, ended_before_seconds, limit
            )
        if row is None:
            return Forgotten(count=0, more=False)
        FORGOTTEN.labels(kind="events").inc(row["forgotten"])
        return Forgotten(count=row["forgotten"], more=row["more"])

    async def forget_requests(self, *, older_than_seconds: float, limit: int) -> Forgotten:
        """Removes the oldest request ids."""
        return await self._forget("requests", older_than_seconds, limit=limit)

    async def forget_sessions(self, *, ended_before_seconds: float, limit: int) -> Forgotten:
        """Removes sessions that ended."""
        return await self._forget("sessions", ended_before_seconds, limit=limit)

    async def _forget(self, kind: str, *arguments: str | float, limit: int) -> Forgotten:
        async with self._database.writing() as connection:
            removed: Sequence[Any] = await connection.fetch(
                QUERIES[f"forget_{kind}"], *arguments, limit
            )
        FORGOTTEN.labels(kind=kind).inc(len(removed))
        return Forgotten(count=len(removed), more=len(removed) == limit)

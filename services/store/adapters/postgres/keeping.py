"""Finding what becomes due by itself, in Postgres."""

from __future__ import annotations

from collections.abc import Sequence

from services.store.adapters.postgres.database import Database
from services.store.adapters.postgres.queries import QUERIES


class PostgresDue:
    """Lists orchestrations for which something is due; the port says what each method promises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def overdue(self, limit: int) -> Sequence[str]:
        """Those that run and whose time is used up."""
        return await self._listed("overdue", limit)

    async def unaffordable(self, limit: int) -> Sequence[str]:
        """Those that run and may be able to pay for no further attempt."""
        return await self._listed("unaffordable", limit)

    async def expired_costs(self, limit: int) -> Sequence[str]:
        """Those with attempts whose finish is not waited for any more."""
        return await self._listed("expired_costs", limit)

    async def without_workers(self, limit: int, *, seconds: float) -> Sequence[str]:
        """Those whose trials have waited so long without a worker of their class, and were not told."""
        return await self._listed("without_workers", limit, seconds)

    async def with_workers_again(self, limit: int) -> Sequence[str]:
        """Those that were told and have workers of their class again."""
        return await self._listed("with_workers_again", limit)

    async def _listed(self, query: str, *arguments: object) -> list[str]:
        async with self._database.reading() as connection:
            found = await connection.fetch(QUERIES[query], *arguments)
        return [row["orchestration_id"] for row in found]

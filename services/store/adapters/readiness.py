"""Whether the store can do its work: it needs a Postgres that takes writes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from services.common.monitoring import Condition
from services.common.rpc.server import RpcServer
from services.core.errors import Unavailable
from services.store.adapters.metrics import DATABASE_REACHED
from services.store.adapters.postgres.database import Database
from services.store.adapters.postgres.queries import QUERIES

logger = structlog.get_logger()

_LOOK_SECONDS = 1.0
_PROBE_SECONDS = 2.0


class StoreReadiness:
    """Looks at the database every second and tells the health checks of the servers.

    A server that answers reads only (a standby, a disk that is full) is not what a store needs.
    """

    def __init__(self) -> None:
        self._problem: str | None = "Postgres has not answered yet"
        self._draining = False

    def look(self) -> Condition:
        """Says what is known now."""
        problems = ["the store is draining"] if self._draining else []
        if self._problem is not None:
            problems.append(self._problem)
        return Condition(problems=tuple(problems))

    def drain(self) -> None:
        """From here on the store is not ready."""
        self._draining = True

    async def run(self, database: Database, servers: Sequence[RpcServer]) -> None:
        """Looks until cancelled."""
        while True:
            await self.check(database, servers)
            await asyncio.sleep(_LOOK_SECONDS)

    async def check(self, database: Database, servers: Sequence[RpcServer]) -> None:
        """Looks once and tells."""
        before, self._problem = self._problem, await _problem(database)
        if self._problem != before:
            if self._problem is None:
                logger.info("database ready")
            else:
                logger.error("not ready", problem=self._problem)
        DATABASE_REACHED.set(self._problem is None)
        for server in servers:
            await server.set_serving(serving=self._problem is None)


async def _problem(database: Database) -> str | None:
    try:
        async with asyncio.timeout(_PROBE_SECONDS), database.beating() as connection:
            # A transaction id is a write: a standby refuses it, and a full disk its commit.
            read_only = await connection.fetchval(QUERIES["probe_write"])
    except Unavailable as error:
        return f"Postgres does not take writes ({error.metadata.get('error', error.reason)})"
    except TimeoutError:
        return f"Postgres did not answer within {_PROBE_SECONDS:g} s"
    return "Postgres is read-only" if read_only == "on" else None

"""One real connection as the database of every replica: its clock is set, and it fails on purpose."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import asyncpg

from services.store.adapters.postgres.database import SERVER_SETTINGS, Database
from services.store.adapters.postgres.history import History

_EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
_FAULTS = ("before", "within", "after")
_TABLES = (
    "events",
    "trials",
    "trial_steps",
    "refinements",
    "tuning_runs",
    "stages",
    "orchestrations",
    "sessions",
    "requests",
)


class FaultyDatabase:
    """Stands in for the connection pools of all replicas, which take turns.

    A call fails before it began, at one of its statements (everything of it is rolled back), or after it
    was committed, which its caller cannot tell from the others.

    Attributes:
        fault_rate: share of the calls that fail.
        is_down: whether every call fails before it begins.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._random = Random(0)
        self._clock: Callable[[], float] = lambda: 0.0
        self._clock_set: float | None = None
        self.fault_rate = 0.0
        self.is_down = False
        self.calls = 0
        pools: dict[str, Any] = {
            each.name: self for each in fields(Database) if each.name != "history"
        }
        self.database = Database(**pools, history=History())

    def begin(self, random: Random, clock: Callable[[], float]) -> None:
        """Takes a world's randomness, and the seconds the database's clock shows."""
        self._random = random
        self._clock = clock
        self.fault_rate = 0.0
        self.is_down = False
        self.calls = 0

    def acquire(self, *, timeout: float) -> Any:
        """Gives the connection, as a pool does."""
        return self._acquired()

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[Any]:
        self.calls += 1
        fault = ""
        if self.is_down:
            fault = "before"
        elif self.fault_rate and self._random.random() < self.fault_rate:
            fault = self._random.choice(_FAULTS)
        if fault == "before":
            raise asyncpg.CannotConnectNowError("simulated: no connection to be had")
        # In whole seconds: leases are longer, and setting the clock is a call of its own.
        clock = float(int(self._clock()))
        if self._clock_set != clock:
            moment = _EPOCH + timedelta(seconds=clock)
            await self._connection.execute(f"SET crescendo.now = '{moment.isoformat()}'")
            self._clock_set = clock
        if not fault:
            yield self._connection
            return
        yield _Failing(
            self._connection, statements=self._random.randrange(8) if fault == "within" else None
        )
        # Whatever was to be done was done.
        raise asyncpg.ConnectionDoesNotExistError("simulated: the answer was lost")

    async def rows(self, query: str, *arguments: Any) -> list[Any]:
        """Reads without faults: for those who check."""
        found: list[Any] = await self._connection.fetch(query, *arguments)
        return found

    async def empty(self, *, thoroughly: bool) -> None:
        """Forgets everything of the last world; thoroughly also gives its room back."""
        if thoroughly:
            names = ", ".join(f"crescendo.{table}" for table in await self._tables())
            await self._connection.execute(f"TRUNCATE {names}")
        else:
            deletes = "; ".join(f"DELETE FROM crescendo.{each}" for each in await self._tables())
            await self._connection.execute(deletes)

    async def _tables(self) -> list[str]:
        found = await self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'crescendo'")
        names = {row["tablename"] for row in found}
        kept = {"migrations", "history", "datasets", "dataset_chunks", "model_runs"}
        # Those that refer to others first.
        ordered = [each for each in _TABLES if each in names]
        return sorted(names - kept - set(ordered)) + ordered


class _Failing:
    """A connection that breaks at one of the next statements."""

    def __init__(self, connection: Any, *, statements: int | None) -> None:
        self._connection = connection
        self._left = statements

    def transaction(self, **options: Any) -> Any:
        return self._connection.transaction(**options)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            if self._left is not None:
                self._left -= 1
                if self._left < 0:
                    raise asyncpg.ConnectionDoesNotExistError("simulated: the connection broke")
            return await method(*arguments, **options)

        return call


@asynccontextmanager
async def faulty_database(dsn: str) -> AsyncIterator[FaultyDatabase]:
    """Opens the one connection; the schema is there already."""
    connection = await asyncpg.connect(
        dsn,
        # Worlds are many and short: nobody minds what a crash of the server would cost.
        server_settings={**SERVER_SETTINGS, "synchronous_commit": "off"},
        statement_cache_size=1000,
    )
    try:
        await connection.set_type_codec(
            "uuid", schema="pg_catalog", encoder=str, decoder=str, format="text"
        )
        yield FaultyDatabase(connection)
    finally:
        await connection.close()

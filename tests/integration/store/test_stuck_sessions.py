"""Sessions of a store that stopped in the middle of a statement end; all others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.store.adapters.postgres.database import SERVER_SETTINGS, Database
from services.store.adapters.postgres.stuck_sessions import StuckSessions
from services.store.adapters.postgres.transaction import PostgresStorage
from services.store.settings import StoreSettings
from tests.integration.store.scenario import Scenario, until

# The test's own store may be held up in the middle of a statement too, but not for so long.
_PATIENCE_SECONDS = 2.0


@pytest.fixture
async def peer(settings: StoreSettings) -> AsyncIterator[asyncpg.Connection]:
    """A connection as another store has."""
    connection = await asyncpg.connect(settings.postgres_dsn, server_settings=SERVER_SETTINGS)
    yield connection
    connection.terminate()


async def _lock(peer: asyncpg.Connection, orchestration_id: str) -> None:
    await peer.execute("BEGIN")
    await peer.execute(
        f"SELECT FROM crescendo.orchestrations WHERE orchestration_id = '{orchestration_id}' FOR UPDATE"
    )


async def _has_waited(database: Database, peer: asyncpg.Connection, *, state: str) -> bool:
    async with database.reading() as connection:
        waited: bool = await connection.fetchval(
            "SELECT clock_timestamp() - state_change > make_interval(secs => $2) FROM pg_stat_activity"
            " WHERE pid = $1 AND state = $3",
            peer.get_server_pid(),
            _PATIENCE_SECONDS,
            state,
        )
    return waited


async def test_a_store_that_stops_between_preparing_and_executing_frees_its_locks(
    scenario: Scenario, peer: asyncpg.Connection
) -> None:
    orchestration = await scenario.start()
    await _lock(peer, orchestration.orchestration_id)
    # Parsed, and never executed: where a store was when it froze.
    await peer.prepare("SELECT count(*) FROM crescendo.orchestrations")
    await until(lambda: _has_waited(scenario.database, peer, state="active"))

    async def lock() -> None:
        async with PostgresStorage(scenario.database).transaction() as tx:
            await tx.lock_orchestration(orchestration.orchestration_id)

    waiting = asyncio.create_task(lock())
    stuck = StuckSessions(scenario.database, patience_seconds=_PATIENCE_SECONDS)
    assert await stuck.end() == 1
    async with asyncio.timeout(60):
        await waiting
    assert await stuck.end() == 0


async def test_sessions_that_work_or_rest_are_left_alone(
    scenario: Scenario, peer: asyncpg.Connection, settings: StoreSettings
) -> None:
    foreign = await asyncpg.connect(settings.postgres_dsn)
    await foreign.execute("BEGIN")
    await foreign.prepare("SELECT count(*) FROM crescendo.orchestrations")
    resting = await asyncpg.connect(settings.postgres_dsn, server_settings=SERVER_SETTINGS)
    await resting.execute("BEGIN")
    working = asyncio.create_task(peer.execute("SELECT pg_sleep(600)"))
    await until(lambda: _has_waited(scenario.database, foreign, state="active"))
    await until(lambda: _has_waited(scenario.database, resting, state="idle in transaction"))
    await until(lambda: _has_waited(scenario.database, peer, state="active"))
    assert await StuckSessions(scenario.database, patience_seconds=_PATIENCE_SECONDS).end() == 0
    await foreign.execute("SELECT pg_cancel_backend($1)", peer.get_server_pid())
    # Cancelled by us, not ended: its connection serves.
    with pytest.raises(asyncpg.QueryCanceledError):
        await working
    assert await peer.fetchval("SELECT 1") == 1
    for each in (foreign, resting):
        await each.execute("ROLLBACK")
        await each.close()


async def test_a_session_that_was_only_just_waited_for_is_left_alone(
    scenario: Scenario, peer: asyncpg.Connection
) -> None:
    await peer.execute("BEGIN")
    await peer.prepare("SELECT count(*) FROM crescendo.orchestrations")
    assert await StuckSessions(scenario.database).end() == 0

"""What is locked while something changes: two changes of the same thing never overlap."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.core.errors import Unavailable
from services.store.adapters.postgres.database import Database
from services.store.adapters.postgres.transaction import PostgresStorage
from services.store.adapters.postgres.workforce import _HAND_OUT_LOCK, PostgresHandOuts
from tests.integration.store.scenario import Scenario, until


async def _is_locked(
    database: Database, table: str, condition: str, *values: Any, strength: str = "UPDATE"
) -> bool:
    """Whether somebody else would wait for these rows."""
    query = f"SELECT count(*) FROM (SELECT FROM crescendo.{table} WHERE {condition} FOR {strength} NOWAIT) AS t"
    try:
        async with database.reading() as connection:
            assert await connection.fetchval(query, *values) > 0
    except Unavailable:
        return True
    return False


async def test_an_orchestration_is_locked_until_its_change_is_over(
    scenario: Scenario, database: Database
) -> None:
    orchestration = await scenario.start()
    rows = ("orchestrations", "orchestration_id = $1", orchestration.orchestration_id)
    async with PostgresStorage(database).transaction() as tx:
        await tx.lock_orchestration(orchestration.orchestration_id)
        assert await _is_locked(database, *rows)
    assert not await _is_locked(database, *rows)


@pytest.mark.parametrize("how", ["named", "all", "by trial"])
async def test_tuning_runs_are_locked_until_their_change_is_over(
    scenario: Scenario, database: Database, how: str
) -> None:
    orchestration, run, _ = await scenario.started(count=1)
    identifier = orchestration.orchestration_id
    rows = ("tuning_runs", "tuning_run_id = $1", run.tuning_run_id)
    async with PostgresStorage(database).transaction() as tx:
        if how == "by trial":
            await tx.lock_tuning_runs_of_trials(identifier, [0])
        else:
            named = [run.tuning_run_id] if how == "named" else None
            await tx.lock_tuning_runs(identifier, named)
        assert await _is_locked(database, *rows)
    assert not await _is_locked(database, *rows)


@pytest.mark.parametrize("how", ["named", "open"])
async def test_trials_are_locked_until_their_change_is_over(
    scenario: Scenario, database: Database, how: str
) -> None:
    orchestration, run, _ = await scenario.started(count=2)
    identifier = orchestration.orchestration_id
    rows = ("trials", "orchestration_id = $1 AND number = 1", identifier)
    async with PostgresStorage(database).transaction() as tx:
        if how == "named":
            await tx.lock_trials(identifier, [1])
        else:
            await tx.lock_open_trials([run.tuning_run_id])
        assert await _is_locked(database, *rows)
    assert not await _is_locked(database, *rows)


async def test_a_session_that_claims_can_beat_and_cannot_end(
    scenario: Scenario, database: Database
) -> None:
    session = await scenario.session()
    rows = ("sessions", "session_id = $1", session)
    async with PostgresStorage(database).transaction() as tx:
        assert await tx.keep_session(session)
        assert await _is_locked(database, *rows)
        assert not await _is_locked(database, *rows, strength="NO KEY UPDATE")
        await scenario.cases.sessions.beat(session, held=[], free_slots=1)
        async with database.reading() as connection:
            await connection.execute(
                "UPDATE crescendo.sessions SET lease_until = crescendo.now() - interval '1 s'"
            )
        # The reaper passes it by, and takes it at the next look.
        assert await scenario.cases.sessions.end_expired() == []
        closing = asyncio.create_task(scenario.cases.sessions.close(session))

        async def waits() -> bool:
            async with database.reading() as connection:
                waiting: bool = await connection.fetchval(
                    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND datname = current_database())"
                )
            return waiting

        await until(waits)
        assert not closing.done()
    async with asyncio.timeout(60):
        await closing


async def test_hand_outs_take_turns(scenario: Scenario, database: Database) -> None:
    async def is_free() -> bool:
        async with database.reading() as connection:
            free: bool = await connection.fetchval(
                "SELECT pg_try_advisory_xact_lock($1)", _HAND_OUT_LOCK
            )
        return free

    async with PostgresHandOuts(database).handing_out():
        assert not await is_free()
    assert await is_free()


async def test_nothing_is_picked_before_its_time_whoever_counted_it(
    scenario: Scenario, database: Database
) -> None:
    orchestration = await scenario.start()
    (run,) = orchestration.stages[0].tuning_runs
    await scenario.queue(run.tuning_run_id, 2)
    async with database.writing() as connection:
        await connection.execute(
            "UPDATE crescendo.trials SET not_before = crescendo.now() + interval '1 minute'"
            " WHERE number = 0"
        )
    async with PostgresHandOuts(database).handing_out() as hand_out:
        picked = await hand_out.pick([(run.tuning_run_id, 2)])
    assert [each.number for each in picked] == [1]

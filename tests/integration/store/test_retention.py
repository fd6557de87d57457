"""Retention: logs of what ended long ago go, and never the log of anything that may still run."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing

import pytest

from services.core.errors import CursorOutOfRange
from services.core.plan import LifecycleState
from services.store.adapters.postgres.database import Database
from services.store.adapters.postgres.retention import PostgresRetention
from services.store.ports.retention import Forgotten
from services.store.service.plans import Change
from services.store.service.retention import Retention
from services.store.service.watch import Page, Snapshot
from tests.integration.store.scenario import Scenario, success, until

_DAYS = 30.0
_OLD = "INTERVAL '31 days'"


async def _execute(database: Database, statement: str, *arguments: object) -> None:
    async with database.writing() as connection:
        await connection.execute(statement, *arguments)


async def _ended(scenario: Scenario, trials: int = 2, *, old: bool = True) -> tuple[str, int]:
    """An orchestration that ended, long ago or just now. Returns: its id and its last sequence."""
    orchestration, run, _ = await scenario.started(trials, planned=trials)
    identifier = orchestration.orchestration_id
    await scenario.finish(*(success(identifier, number) for number in range(trials)))
    ended = await scenario.close(orchestration, run)
    assert ended.state is LifecycleState.COMPLETED
    if old:
        await _execute(
            scenario.database,
            f"UPDATE crescendo.orchestrations SET ended_at = ended_at - {_OLD}"
            " WHERE orchestration_id = $1",
            identifier,
        )
    return identifier, ended.last_sequence


async def _count(database: Database, table: str) -> int:
    async with database.reading() as connection:
        count: int = await connection.fetchval(f"SELECT count(*) FROM crescendo.{table}")
    return count


def _retention(database: Database, days: float = _DAYS) -> Retention:
    return Retention(PostgresRetention(database), days=days, pause_seconds=0)


async def test_only_logs_that_ended_long_ago_lose_their_events(
    scenario: Scenario, database: Database
) -> None:
    old, old_last = await _ended(scenario)
    fresh, fresh_last = await _ended(scenario, old=False)
    running = await scenario.start()
    assert await _retention(database).sweep() == old_last
    assert await scenario.events(old) == []
    assert len(await scenario.events(fresh)) == fresh_last
    assert len(await scenario.events(running.orchestration_id)) == running.last_sequence
    shown = await scenario.cases.runs.orchestration(old)
    assert (shown.first_sequence, shown.last_sequence) == (old_last + 1, old_last)
    # What was found stays.
    assert shown.best is not None
    # And nothing is left to do.
    assert await _retention(database).sweep() == 0


async def test_zero_days_keep_everything_for_ever(scenario: Scenario, database: Database) -> None:
    _, last = await _ended(scenario)
    await scenario.cases.plans.create(
        await scenario.plan(), tenant="default", key=scenario.key(), spec_hash=b"x"
    )
    await _execute(database, f"UPDATE crescendo.requests SET created_at = created_at - {_OLD}")
    assert await _retention(database, days=0).sweep() == 0
    assert await _count(database, "events") > last
    assert await _count(database, "requests") == 1


async def test_cursors_at_the_floor_resume_and_those_below_it_are_told(
    scenario: Scenario, database: Database
) -> None:
    identifier, last = await _ended(scenario, trials=4)
    store = PostgresRetention(database)
    step = await store.forget_events(identifier, ended_before_seconds=86_400, limit=5)
    assert step == Forgotten(count=5, more=True)
    for cursor in range(5, last + 1):
        assert await scenario.watched(identifier, cursor) == list(range(cursor + 1, last + 1))
    for cursor in range(5):
        with pytest.raises(CursorOutOfRange) as caught:
            await scenario.watched(identifier, cursor)
        assert caught.value.reason == "CURSOR_EXPIRED"
        assert caught.value.metadata == {"first_sequence": "6", "last_sequence": str(last)}
        assert "resume after event 5" in caught.value.message
    # Without a cursor there is always a way in.
    async with aclosing(scenario.cases.watching.watch(identifier, after_sequence=None)) as parts:
        (only,) = [part async for part in parts]
    assert isinstance(only, Snapshot)
    assert only.orchestration.first_sequence == 6
    await _retention(database).sweep()
    assert await scenario.watched(identifier, last) == []
    with pytest.raises(CursorOutOfRange):
        await scenario.watched(identifier, last - 1)


async def test_a_watcher_overtaken_by_retention_is_told(
    scenario: Scenario, database: Database
) -> None:
    identifier, last = await _ended(scenario, trials=100)
    # Pages as small as they get, so that the watcher is in the middle of the log.
    await _execute(
        database,
        "UPDATE crescendo.events SET payload_proto = payload_proto || $2"
        " WHERE orchestration_id = $1 AND sequence <= 4",
        identifier,
        b"\xa2\x06\x80\x80\x10" + b"x" * 262_144,
    )
    watch = scenario.cases.watching.watch(identifier, after_sequence=0)
    async with aclosing(watch), asyncio.timeout(60):
        page = await anext(watch)
        assert isinstance(page, Page)
        seen = page.events[-1].sequence
        assert seen < last
        await _retention(database).sweep()
        with pytest.raises(CursorOutOfRange) as caught:
            while True:
                await anext(watch)
    assert caught.value.reason == "CURSOR_EXPIRED"
    assert caught.value.metadata["first_sequence"] == str(last + 1)


async def test_what_is_reopened_at_the_same_moment_keeps_its_log(
    scenario: Scenario, database: Database
) -> None:
    identifier, last = await _ended(scenario)
    async with database.writing() as connection:
        # Whoever reopens it holds its row.
        await connection.execute(
            "SELECT FROM crescendo.orchestrations WHERE orchestration_id = $1 FOR UPDATE",
            identifier,
        )
        sweeping = asyncio.create_task(_retention(database).sweep())
        await until(lambda: _waits(database))
        await connection.execute(
            "UPDATE crescendo.orchestrations SET state = 'running', ended_at = NULL"
            " WHERE orchestration_id = $1",
            identifier,
        )
    assert await sweeping == 0
    assert len(await scenario.events(identifier)) == last


async def _waits(database: Database) -> bool:
    async with database.reading() as connection:
        waiting: int = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
    return waiting > 0


async def test_two_replicas_that_sweep_at_once_remove_everything_once(
    scenario: Scenario, database: Database
) -> None:
    logs = [await _ended(scenario) for _ in range(5)]
    removed = await asyncio.gather(*(_retention(database).sweep() for _ in range(3)))
    assert sum(removed) == sum(last for _, last in logs)
    assert await _count(database, "events") == 0


async def test_a_log_goes_on_after_its_events_were_removed(
    scenario: Scenario, database: Database
) -> None:
    orchestration = await scenario.start()
    identifier, last = orchestration.orchestration_id, orchestration.last_sequence
    await scenario.cases.plans.change(identifier, Change.CANCEL)
    last = (await scenario.cases.runs.orchestration(identifier)).last_sequence
    await _execute(database, f"UPDATE crescendo.orchestrations SET ended_at = ended_at - {_OLD}")
    await _retention(database).sweep()
    # As an extension does.
    await _execute(
        database,
        "UPDATE crescendo.orchestrations SET state = 'running', ended_at = NULL,"
        " last_sequence = last_sequence + 1 WHERE orchestration_id = $1",
        identifier,
    )
    await _execute(
        database,
        "INSERT INTO crescendo.events VALUES ($1, $2, now(), '')",
        identifier,
        last + 1,
    )
    assert (await scenario.cases.runs.orchestration(identifier)).first_sequence == last + 1
    async with aclosing(scenario.cases.watching.watch(identifier, after_sequence=last)) as parts:
        async with asyncio.timeout(60):
            page = await anext(parts)
    assert isinstance(page, Page)
    assert [each.sequence for each in page.events] == [last + 1]


async def test_old_request_ids_and_sessions_go_and_young_ones_stay(
    scenario: Scenario, database: Database
) -> None:
    for age in ("0 days", "31 days"):
        await _execute(
            database,
            "INSERT INTO crescendo.requests VALUES ('default', 'StartTuning', $1, '', 'x',"
            f" crescendo.now() - INTERVAL '{age}')",
            age,
        )
    ended, unsettled, live = [await scenario.session() for _ in range(3)]
    await scenario.cases.sessions.close(ended)
    await scenario.cases.sessions.close(unsettled)
    young = await scenario.session()
    await scenario.cases.sessions.close(young)
    await _execute(
        database,
        "UPDATE crescendo.sessions SET ended_at = ended_at - INTERVAL '8 days', settled ="
        " session_id <> $2 WHERE session_id = ANY ($1)",
        [ended, unsettled],
        unsettled,
    )
    await _retention(database).sweep()
    async with database.reading() as connection:
        requests = await connection.fetch("SELECT request_id FROM crescendo.requests")
        sessions = await connection.fetch("SELECT session_id FROM crescendo.sessions")
    assert [row["request_id"] for row in requests] == ["0 days"]
    assert {row["session_id"] for row in sessions} == {unsettled, live, young}


async def test_more_than_a_step_holds_is_removed_in_several(
    scenario: Scenario, database: Database
) -> None:
    await _execute(
        database,
        "INSERT INTO crescendo.requests SELECT 'default', 'StartTuning', n::text, '', 'x',"
        f" crescendo.now() - {_OLD} FROM generate_series(1, 2500) AS n",
    )
    await _execute(
        database,
        "INSERT INTO crescendo.events SELECT $1, n, now(), '' FROM generate_series($2::bigint, 2500) AS n",
        *(await _long(scenario)),
    )
    assert await _retention(database).sweep() == 2500
    assert await _count(database, "requests") == 0


async def _long(scenario: Scenario) -> tuple[str, int]:
    identifier, last = await _ended(scenario)
    await _execute(
        scenario.database,
        "UPDATE crescendo.orchestrations SET last_sequence = 2500 WHERE orchestration_id = $1",
        identifier,
    )
    return identifier, last + 1


async def test_unknown_orchestrations_have_nothing_to_forget(database: Database) -> None:
    store = PostgresRetention(database)
    step = await store.forget_events(str(uuid.uuid4()), ended_before_seconds=1, limit=10)
    assert step == Forgotten(count=0, more=False)

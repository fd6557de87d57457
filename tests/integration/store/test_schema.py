"""The schema: what the migrations make is what schema.sql says, and hot paths have their indexes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from importlib import resources

import asyncpg
import pytest

from services.store.adapters.postgres.database import SERVER_SETTINGS, Database
from services.store.adapters.postgres.queries import QUERIES
from services.store.migrate import load_migrations, migrate
from testbed.databases import PostgresServer, random_database

_COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attstorage,
    pg_get_expr(d.adbin, d.adrelid)
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'crescendo'::regnamespace
ORDER BY 1, a.attnum
"""
_INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'crescendo' ORDER BY 1"
_CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'crescendo'::regnamespace ORDER BY 1, 2
"""
_FUNCTIONS = """
SELECT proname, pg_get_functiondef(oid) FROM pg_proc
WHERE pronamespace = 'crescendo'::regnamespace ORDER BY 1
"""
_OPTIONS = """
SELECT relname, reloptions::text FROM pg_class
WHERE relnamespace = 'crescendo'::regnamespace ORDER BY 1
"""


async def _described(dsn: str) -> list[list[tuple[object, ...]]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [
            [tuple(row) for row in await connection.fetch(query)]
            for query in (_COLUMNS, _INDEXES, _CONSTRAINTS, _FUNCTIONS, _OPTIONS)
        ]
    finally:
        await connection.close()


@pytest.fixture
def two_databases(postgres_server: PostgresServer) -> Iterator[tuple[str, str]]:
    with random_database(postgres_server) as first, random_database(postgres_server) as second:
        yield first, second


async def test_the_schema_file_is_what_all_migrations_make(two_databases: tuple[str, str]) -> None:
    migrated, written = two_databases
    await migrate(migrated)
    connection = await asyncpg.connect(written)
    await connection.execute(
        resources.files("services.store.sql").joinpath("schema.sql").read_text("utf-8")
    )
    await connection.close()
    assert await _described(migrated) == await _described(written)


async def test_replicas_that_migrate_at_once_apply_each_migration_once(
    fresh_postgres_dsn: str,
) -> None:
    applied = await asyncio.gather(*(migrate(fresh_postgres_dsn) for _ in range(4)))
    versions = [version for each in applied for version in each]
    assert sorted(versions) == [each.version for each in load_migrations()]
    assert await migrate(fresh_postgres_dsn) == []


async def test_the_clock_can_be_set_for_tests(database: Database) -> None:
    async with database.writing() as connection:
        await connection.execute("SET LOCAL crescendo.now = '2030-01-02 03:04:05+00'")
        moment = await connection.fetchval("SELECT crescendo.now()")
        assert moment.isoformat() == "2030-01-02T03:04:05+00:00"
    async with database.reading() as connection:
        assert (await connection.fetchval("SELECT crescendo.now()")).year != 2030


@pytest.mark.parametrize("score", ["NaN", "Infinity", "-Infinity"])
async def test_the_database_itself_refuses_a_score_that_is_not_finite(
    database: Database, score: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        async with database.writing() as connection:
            await connection.execute(
                "INSERT INTO crescendo.trials (orchestration_id, number, tuning_run_id, stage_index,"
                " state, parameters_proto, phase, suggestion_index, suggested_at_sequence, score)"
                " VALUES (gen_random_uuid(), 0, gen_random_uuid(), 0, 'succeeded', '', 'grid', 0, 0,"
                f" '{score}')"
            )


_ID = "00000000-0000-0000-0000-000000000001"
_HOT: dict[str, tuple[object, ...]] = {
    "lock_trials": (_ID, [1, 2, 3]),
    "lock_open_trials": ([_ID],),
    "lock_tuning_runs_of_trials": (_ID, [1, 2, 3]),
    "find_number": (_ID, 5),
    "clear_all_dispatch": (_ID,),
    "running_trials": (_ID, 30.0),
    "take_stops": ([_ID],),
    "held_trials": ([_ID], [1]),
    "loads": (),
    "pick_trials": ([_ID], [100]),
    "requeue_unclaimed": (60.0,),
    "recall_all_trials": (10.0, "default"),
    "trials_by_number": (_ID, -1, None, None, 100),
    "trials_of_run_by_number": (_ID, -1, None, None, 100, _ID),
    "trials_by_score": (_ID, float("inf"), -1, -1, -1, None, None, None, 100),
    "trials_without_score": (_ID, 5, None, None, 100),
    "events": (_ID, 10, 500),
    "most_frequent_failure": (_ID,),
}


@pytest.fixture(scope="module")
def big_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with 100,000 trials and as many events of one orchestration."""
    with random_database(postgres_server) as dsn:
        asyncio.run(_fill(dsn))
        yield dsn


async def _fill(dsn: str) -> None:
    await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        f"""
        INSERT INTO crescendo.trials (orchestration_id, number, tuning_run_id, stage_index, state,
            parameters_proto, phase, suggestion_index, suggested_at_sequence, score)
        SELECT '{_ID}', n, '{_ID}', 0,
            CASE WHEN n < 99000 THEN 'succeeded' WHEN n < 99010 THEN 'running' ELSE 'queued' END,
            '', 'grid', n, 0, CASE WHEN n < 99000 THEN random() END
        FROM generate_series(0, 99999) AS n;
        INSERT INTO crescendo.events
        SELECT '{_ID}', n, now(), '' FROM generate_series(1, 100000) AS n;
        ANALYZE;
        """
    )
    await connection.close()


@pytest.mark.parametrize("settings", [{}, SERVER_SETTINGS], ids=["default", "as the store"])
async def test_no_query_scans_all_trials_or_events(big_dsn: str, settings: dict[str, str]) -> None:
    connection = await asyncpg.connect(big_dsn, server_settings=settings)
    try:
        for name, arguments in _HOT.items():
            plan = "\n".join(
                row[0] for row in await connection.fetch(f"EXPLAIN {QUERIES[name]}", *arguments)
            )
            assert "Seq Scan on trials" not in plan, f"{name}:\n{plan}"
            assert "Seq Scan on events" not in plan, f"{name}:\n{plan}"
    finally:
        await connection.close()


async def test_a_batch_reads_only_its_rows_before_the_table_has_statistics(
    fresh_postgres_dsn: str,
) -> None:
    await migrate(fresh_postgres_dsn)
    connection = await asyncpg.connect(fresh_postgres_dsn, server_settings=SERVER_SETTINGS)
    numbers = list(range(100))
    batches: dict[str, tuple[object, ...]] = {
        "lock_trials": (_ID, numbers),
        "lock_tuning_runs_of_trials": (_ID, numbers),
        "start_trials": (_ID, numbers, _ID, _ID, "w"),
        "clear_dispatch": (_ID, numbers),
        "delay_trials": (_ID, numbers, 2.0),
        "set_reported_splits": (_ID, numbers, numbers),
    }
    try:
        await connection.execute("ALTER TABLE crescendo.trials SET (autovacuum_enabled = false)")
        await connection.execute(
            "INSERT INTO crescendo.trials (orchestration_id, number, tuning_run_id, stage_index,"
            " parameters_proto, phase, suggestion_index, suggested_at_sequence)"
            f" SELECT '{_ID}', n, '{_ID}', 0, '', 'grid', n, 0 FROM generate_series(0, 19999) AS n"
        )
        for name, arguments in batches.items():
            found = await connection.fetch(
                f"EXPLAIN (ANALYZE, TIMING OFF) {QUERIES[name]}", *arguments
            )
            plan = "\n".join(row[0] for row in found)
            assert "number = wanted.number" in plan or "number = report.number" in plan
            removed = re.findall(r"Rows Removed by (?:Filter|Join Filter): (\d+)", plan)
            assert sum(map(int, removed)) < 1000, f"{name}:\n{plan}"
    finally:
        await connection.close()


_MANY = """
ALTER TABLE crescendo.tuning_runs DISABLE TRIGGER ALL;
INSERT INTO crescendo.orchestrations (orchestration_id, tenant, workflow, spec_hash, state,
    scoring_metric, cv_folds, random_state, max_concurrent_trials)
SELECT ('00000000-0000-0000-0001-' || lpad(n::text, 12, '0'))::uuid, 'tenant-' || n % 5, 'tuning', '',
    CASE WHEN n < 50 THEN 'running' ELSE 'completed' END, 'accuracy', 5, 1, 0
FROM generate_series(0, 999) AS n;
INSERT INTO crescendo.tuning_runs (tuning_run_id, orchestration_id, stage_index, position,
    model_run_id, model_type, method, method_used, state, space_proto, original_space_proto,
    evaluation_proto, metrics, cv_folds, random_state, planned, created, queued, running)
SELECT ('00000000-0000-0000-0002-' || lpad(n::text, 12, '0'))::uuid,
    ('00000000-0000-0000-0001-' || lpad(n::text, 12, '0'))::uuid, 0, 0, gen_random_uuid(), 'm',
    'random_search', 'random_search', CASE WHEN n < 50 THEN 'running' ELSE 'completed' END,
    '', '', '', '{}', 5, 1, 2000, 2000, CASE WHEN n < 50 THEN 1990 ELSE 0 END,
    CASE WHEN n < 50 THEN 10 ELSE 0 END
FROM generate_series(0, 999) AS n;
INSERT INTO crescendo.trials (orchestration_id, number, tuning_run_id, stage_index, state,
    parameters_proto, phase, suggestion_index, suggested_at_sequence, dispatched_at, not_before)
SELECT ('00000000-0000-0000-0001-' || lpad((n / 2000)::text, 12, '0'))::uuid, n % 2000,
    ('00000000-0000-0000-0002-' || lpad((n / 2000)::text, 12, '0'))::uuid, 0,
    CASE WHEN n % 2000 < 10 THEN 'running' ELSE 'queued' END, '', 'random', n % 2000, 0,
    CASE WHEN n % 2000 BETWEEN 10 AND 30 THEN now() END,
    CASE WHEN n % 2000 BETWEEN 1000 AND 1010 THEN now() + interval '1 hour' END
FROM generate_series(0, 99999) AS n;
"""


@pytest.mark.parametrize("statistics", [False, True], ids=["no statistics", "analyzed"])
async def test_a_hand_out_among_100000_open_trials_reads_only_what_it_needs(
    fresh_postgres_dsn: str, statistics: bool
) -> None:
    await migrate(fresh_postgres_dsn)
    connection = await asyncpg.connect(fresh_postgres_dsn, server_settings=SERVER_SETTINGS)
    runs = [f"00000000-0000-0000-0002-{number:012}" for number in range(50)]
    queries: dict[str, tuple[object, ...]] = {
        "loads": (),
        "requeue_unclaimed": (60.0,),
        "recall_all_trials": (10.0, "default"),
        "pick_trials": (runs, [20] * 50),
        "take_searchers": ("c", 64, 10.0, []),
    }
    try:
        await connection.execute(_MANY)
        if statistics:
            await connection.execute("ANALYZE")
        for name, arguments in queries.items():
            found = await connection.fetch(
                f"EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) {QUERIES[name]}", *arguments
            )
            plan = "\n".join(row[0] for row in found)
            assert "Seq Scan" not in plan, f"{name}:\n{plan}"
            # Per turn of a loop: the 31 running and dispatched trials before the first that waits,
            # what is told of the 11 that must wait, and never the 2,000 of a tuning run.
            removed = re.findall(r"Rows Removed by (?:Filter|Join Filter): (\d+)", plan)
            assert max(map(int, removed), default=0) <= 60, f"{name}:\n{plan}"
    finally:
        await connection.close()

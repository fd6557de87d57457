"""Epochs: a restored database is never taken for the one whose events were seen."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from services.core.errors import Conflict, CursorOutOfRange, NotFound, Unavailable
from services.store.adapters.postgres.database import open_database
from services.store.app import UseCases, use_cases
from services.store.migrate import migrate
from services.store.service.plans import Change
from services.store.service.watch import Bookmark, Page, Snapshot
from services.store.settings import StoreSettings
from testbed.databases import PostgresServer, random_database
from tests.integration.store.scenario import Scenario, until
from tests.integration.store.test_process import _start


@asynccontextmanager
async def _store(dsn: str) -> AsyncIterator[Scenario]:
    settings = StoreSettings(postgres_dsn=dsn, watch_poll_seconds=0.05, bookmark_seconds=0.05)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(dsn))
        cases = use_cases(settings, database)
        polling = asyncio.create_task(cases.feed.run())
        stack.callback(polling.cancel)
        yield Scenario(cases, database)


async def _snapshot(cases: UseCases, identifier: str) -> Snapshot:
    async with aclosing(cases.watching.watch(identifier, after_sequence=None)) as parts:
        first = await anext(parts)
    assert isinstance(first, Snapshot)
    return first


async def _epoch(dsn: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        return str(await connection.fetchval("SELECT epoch FROM crescendo.history"))
    finally:
        await connection.close()


async def _execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for each in statements:
            await connection.execute(each)
    finally:
        await connection.close()


async def _watch(
    cases: UseCases,
    identifier: str,
    after: int | None,
    epoch: str | None,
    bookmarks: list[int] | None = None,
) -> None:
    async with aclosing(
        cases.watching.watch(identifier, after_sequence=after, epoch=epoch)
    ) as parts:
        async for part in parts:
            if bookmarks is not None and isinstance(part, Bookmark):
                bookmarks.append(part.sequence)


async def _conflict(awaitable: Awaitable[Any]) -> Conflict:
    async with asyncio.timeout(60):
        with pytest.raises(Conflict) as caught:
            await awaitable
    assert caught.value.reason == "EPOCH_CHANGED"
    return caught.value


async def test_the_epoch_outlives_reconnects_and_is_that_of_every_replica(
    fresh_postgres_dsn: str,
) -> None:
    await migrate(fresh_postgres_dsn)
    epochs = set()
    for _ in range(3):
        async with _store(fresh_postgres_dsn) as one, _store(fresh_postgres_dsn) as other:
            identifier = (await one.start()).orchestration_id
            for each in (one, other):
                epochs.add((await _snapshot(each.cases, identifier)).epoch)
    assert epochs == {await _epoch(fresh_postgres_dsn)}


async def test_every_part_of_a_watch_says_its_epoch(fresh_postgres_dsn: str) -> None:
    await migrate(fresh_postgres_dsn)
    async with _store(fresh_postgres_dsn) as scenario:
        identifier = (await scenario.start()).orchestration_id
        epoch = await _epoch(fresh_postgres_dsn)
        watch = scenario.cases.watching.watch(identifier, after_sequence=0, epoch=epoch)
        async with aclosing(watch), asyncio.timeout(60):
            page, bookmark = await anext(watch), await anext(watch)
        assert (page.epoch, bookmark.epoch) == (epoch, epoch)
        assert (await _snapshot(scenario.cases, identifier)).epoch == epoch


async def test_a_cursor_of_another_epoch_is_refused_at_once(fresh_postgres_dsn: str) -> None:
    await migrate(fresh_postgres_dsn)
    async with _store(fresh_postgres_dsn) as scenario:
        orchestration = await scenario.start()
        other = str(uuid.uuid4())
        for after in (0, 1, 10_000, None):
            error = await _conflict(
                _watch(scenario.cases, orchestration.orchestration_id, after, other)
            )
            assert error.metadata["last_sequence"] == str(orchestration.last_sequence)
            assert error.metadata["epoch"] == await _epoch(fresh_postgres_dsn)
        # What a restore lost altogether is told the same way.
        for gone in (0, None):
            await _conflict(_watch(scenario.cases, str(uuid.uuid4()), gone, other))
            with pytest.raises(NotFound):
                await _watch(scenario.cases, str(uuid.uuid4()), gone, None)


async def test_a_restore_under_running_stores_ends_watches_and_cursors(
    postgres_server: PostgresServer, fresh_postgres_dsn: str
) -> None:
    name = fresh_postgres_dsn.rsplit("/", 1)[1]
    backup = f"{name}_backup"
    await migrate(fresh_postgres_dsn)
    async with _store(fresh_postgres_dsn) as scenario:
        orchestration = await scenario.start()
        identifier = orchestration.orchestration_id
    await _execute(postgres_server.dsn, f'CREATE DATABASE "{backup}" TEMPLATE "{name}"')
    async with _store(fresh_postgres_dsn) as one, _store(fresh_postgres_dsn) as other:
        before = await _snapshot(one.cases, identifier)
        await one.cases.plans.change(identifier, Change.PAUSE)
        seen = (await one.cases.runs.orchestration(identifier)).last_sequence
        assert seen > orchestration.last_sequence
        places: list[list[int]] = [[] for _ in range(4)]
        watches = [
            asyncio.create_task(_watch(each.cases, identifier, after, None, place))
            for place, (each, after) in zip(
                places, [(one, 0), (one, seen), (other, 0), (other, seen)], strict=True
            )
        ]
        await until(lambda: _all_at(places, seen))
        await _execute(
            postgres_server.dsn,
            f'DROP DATABASE "{name}" WITH (FORCE)',
            f'ALTER DATABASE "{backup}" RENAME TO "{name}"',
        )
        for watch in watches:
            error = await _conflict(watch)
            assert int(error.metadata["last_sequence"]) == seen
        after_it = await _epoch(fresh_postgres_dsn)
        assert after_it != before.epoch
        for each in (one, other):
            await until(partial(_answers, each, identifier))
            assert (await _snapshot(each.cases, identifier)).epoch == after_it
            await _conflict(_watch(each.cases, identifier, seen, before.epoch))
            with pytest.raises(CursorOutOfRange) as caught:
                await _watch(each.cases, identifier, seen, None)
            assert caught.value.reason == "CURSOR_AHEAD"
            assert caught.value.metadata["last_sequence"] == str(orchestration.last_sequence)


async def _all_at(places: list[list[int]], sequence: int) -> bool:
    return all(place and place[-1] == sequence for place in places)


async def _all_followed(*scenarios: Scenario) -> bool:
    return all(each.cases.feed.watched for each in scenarios)


async def _answers(scenario: Scenario, identifier: str) -> bool:
    try:
        await scenario.cases.runs.orchestration(identifier)
    except Unavailable:
        return False
    return True


async def test_many_connections_to_a_restored_database_begin_one_epoch(
    postgres_server: PostgresServer, fresh_postgres_dsn: str
) -> None:
    await migrate(fresh_postgres_dsn)
    async with open_database(fresh_postgres_dsn):
        pass
    name = fresh_postgres_dsn.rsplit("/", 1)[1]
    with random_database(postgres_server) as copy:
        copied = copy.rsplit("/", 1)[1]
        await _execute(
            postgres_server.dsn,
            f'DROP DATABASE "{copied}"',
            f'CREATE DATABASE "{copied}" TEMPLATE "{name}"',
        )
        async with AsyncExitStack() as stack:
            opened = await asyncio.gather(
                *(stack.enter_async_context(open_database(copy)) for _ in range(4))
            )
            epochs = {each.history.epoch for each in opened}
        assert epochs == {await _epoch(copy)}
        assert epochs != {await _epoch(fresh_postgres_dsn)}


async def test_tables_restored_under_open_connections_are_noticed(fresh_postgres_dsn: str) -> None:
    await migrate(fresh_postgres_dsn)
    async with _store(fresh_postgres_dsn) as scenario:
        identifier = (await scenario.start()).orchestration_id
        before = await _snapshot(scenario.cases, identifier)
        watch = asyncio.create_task(
            _watch(scenario.cases, identifier, before.orchestration.last_sequence, before.epoch)
        )
        await until(lambda: _all_followed(scenario))
        # What pg_restore --clean does to a table.
        await _execute(
            fresh_postgres_dsn,
            "CREATE TABLE crescendo.restored (LIKE crescendo.history INCLUDING ALL);"
            "INSERT INTO crescendo.restored SELECT * FROM crescendo.history;"
            "DROP TABLE crescendo.history;"
            "ALTER TABLE crescendo.restored RENAME TO history",
        )
        await _conflict(watch)


async def test_a_log_that_became_shorter_begins_an_epoch(fresh_postgres_dsn: str) -> None:
    await migrate(fresh_postgres_dsn)
    async with _store(fresh_postgres_dsn) as scenario:
        orchestration = await scenario.start()
        identifier, last = orchestration.orchestration_id, orchestration.last_sequence
        before = await _epoch(fresh_postgres_dsn)
        watch = asyncio.create_task(_watch(scenario.cases, identifier, last, None))
        await until(lambda: _all_followed(scenario))
        # As a volume that was set back shows itself, where connections do not tell.
        await _execute(
            fresh_postgres_dsn,
            f"DELETE FROM crescendo.events WHERE sequence = {last};"
            f"UPDATE crescendo.orchestrations SET last_sequence = {last - 1}",
        )
        await _conflict(watch)
        assert await _epoch(fresh_postgres_dsn) != before


async def test_an_operator_begins_an_epoch(fresh_postgres_dsn: str) -> None:
    await migrate(fresh_postgres_dsn)
    async with _store(fresh_postgres_dsn) as scenario:
        orchestration = await scenario.start()
        identifier, last = orchestration.orchestration_id, orchestration.last_sequence
        watches = [
            asyncio.create_task(_watch(scenario.cases, identifier, after, None))
            for after in (0, last)
        ]
        await until(lambda: _all_followed(scenario))
        process = await _start(fresh_postgres_dsn, "new-epoch")
        _, log = await process.communicate()
        assert process.returncode == 0
        assert (await _epoch(fresh_postgres_dsn)).encode() in log
        for watch in watches:
            await _conflict(watch)


@contextmanager
def _role(server: PostgresServer, dsn: str) -> Iterator[str]:
    """A role that may use the schema and ask the server nothing; yields its DSN."""
    role = f"crescendo_test_{uuid.uuid4().hex[:12]}"
    parts = urlsplit(dsn)
    address = parts.netloc.rpartition("@")[2]
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(
            _execute(
                dsn,
                f"CREATE ROLE {role} LOGIN",
                f"GRANT ALL ON SCHEMA crescendo TO {role}",
                f"GRANT ALL ON ALL TABLES IN SCHEMA crescendo TO {role}",
                "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM public",
                "REVOKE EXECUTE ON FUNCTION pg_walfile_name(pg_lsn) FROM public",
            )
        )
        yield urlunsplit(parts._replace(netloc=f"{role}@{address}"))
    finally:
        loop.run_until_complete(_execute(dsn, f"DROP OWNED BY {role}", f"DROP ROLE {role}"))
        loop.close()


@pytest.fixture
def denied_dsn(postgres_server: PostgresServer, fresh_postgres_dsn: str) -> Iterator[str]:
    asyncio.run(migrate(fresh_postgres_dsn))
    with _role(postgres_server, fresh_postgres_dsn) as dsn:
        yield dsn


async def test_a_store_that_may_not_ask_where_it_is_works_all_the_same(
    denied_dsn: str, fresh_postgres_dsn: str
) -> None:
    epochs = []
    # One that may ask, one that may not, and the first again: nothing has changed meanwhile.
    for dsn in (fresh_postgres_dsn, denied_dsn, fresh_postgres_dsn):
        async with _store(dsn) as scenario:
            identifier = (await scenario.start()).orchestration_id
            epochs.append((await _snapshot(scenario.cases, identifier)).epoch)
            watch = scenario.cases.watching.watch(identifier, after_sequence=0)
            async with aclosing(watch), asyncio.timeout(60):
                assert isinstance(await anext(watch), Page)
    assert len(set(epochs)) == 1

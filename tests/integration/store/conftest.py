"""A store's use cases on a real Postgres, in a database of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from services.store.adapters.postgres.database import Database, open_database
from services.store.app import RunningStore, UseCases, running_store, use_cases
from services.store.migrate import migrate
from services.store.settings import StoreSettings
from testbed.databases import PostgresServer, random_database
from tests.integration.store.clock import Clock
from tests.integration.store.scenario import Scenario
from tests.integration.store.stubs import Stubs, stubs_of

_EMPTIED = (
    "attempt_costs, events, trials, tuning_runs, stages, refinements, orchestrations, sessions,"
    " requests, model_runs"
)


@pytest.fixture(scope="session")
def store_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with the store's schema, shared by the tests of this folder."""
    with random_database(postgres_server) as dsn:
        asyncio.run(migrate(dsn))
        yield dsn


@pytest.fixture
async def settings(store_dsn: str) -> StoreSettings:
    """Settings of a store on free ports."""
    return StoreSettings(
        postgres_dsn=store_dsn,
        store_listen="127.0.0.1:0",
        store_internal_listen="127.0.0.1:0",
        watch_poll_seconds=0.05,
        drain_seconds=1.0,
    )


@pytest.fixture
async def database(settings: StoreSettings) -> AsyncIterator[Database]:
    """Connections to the database, which holds no work of earlier tests."""
    async with open_database(settings.postgres_dsn) as database:
        async with database.writing() as connection:
            deletes = "; ".join(f"DELETE FROM crescendo.{table}" for table in _EMPTIED.split(", "))
            await connection.execute(
                f"{deletes}; DELETE FROM crescendo.datasets WHERE NOT built_in"
            )
        yield database


@pytest.fixture
async def clock(settings: StoreSettings, database: Database) -> AsyncIterator[Clock]:
    """The database's clock, stopped; it goes on with the test's end."""
    clock = Clock(database, settings.postgres_dsn)
    await clock.advance(0)
    yield clock
    await clock.release()


@pytest.fixture
async def cases(settings: StoreSettings, database: Database) -> AsyncIterator[UseCases]:
    """A store without a transport, its change feed running."""
    cases = use_cases(settings, database)
    async with AsyncExitStack() as stack:
        loops = [asyncio.create_task(cases.feed.run()), asyncio.create_task(cases.orders.run())]
        stack.push_async_callback(_cancel, loops)
        yield cases


@pytest.fixture
async def scenario(cases: UseCases, database: Database) -> Scenario:
    """Steps tests are made of."""
    return Scenario(cases, database)


@pytest.fixture
async def store(settings: StoreSettings, database: Database) -> AsyncIterator[RunningStore]:
    """A store that serves over gRPC, on the same database."""
    async with running_store(settings) as store:
        yield store


@pytest.fixture
async def stubs(store: RunningStore) -> AsyncIterator[Stubs]:
    """Stubs of that store's services."""
    async with stubs_of(store) as stubs:
        yield stubs


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

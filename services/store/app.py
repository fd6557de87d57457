"""Composition of the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import asyncpg
import structlog

from services.common.rpc.server import MAX_INTERNAL_REQUEST_BYTES, RpcServer, service_name
from services.core.errors import Unavailable
from services.store.adapters.change_feed import PollingFeed
from services.store.adapters.dataset_files.files import ArrowDatasetFiles
from services.store.adapters.grpc_servicer.dataset_service import DatasetServicer
from services.store.adapters.grpc_servicer.model_service import ModelServicer
from services.store.adapters.grpc_servicer.plan_service import PlanServicer
from services.store.adapters.grpc_servicer.run_service import RunServicer
from services.store.adapters.grpc_servicer.trial_service import TrialServicer
from services.store.adapters.postgres.catalogue import PostgresDatasets, PostgresModelRuns
from services.store.adapters.postgres.database import Database, open_database
from services.store.adapters.postgres.reader import PostgresReader
from services.store.adapters.postgres.transaction import PostgresStorage
from services.store.adapters.postgres.workforce import (
    PostgresHandOuts,
    PostgresSearchers,
    PostgresSessions,
)
from services.store.migrate import migrate
from services.store.service.claims import Claims
from services.store.service.creation import TrialCreation
from services.store.service.datasets import Datasets
from services.store.service.hand_out import HandOuts
from services.store.service.model_runs import ModelRuns
from services.store.service.orders import OrderBoard
from services.store.service.plans import Plans
from services.store.service.reaper import Reaper
from services.store.service.requeue import Requeueing
from services.store.service.results import Results
from services.store.service.runs import Runs
from services.store.service.searchers import Searchers
from services.store.service.sessions import Sessions
from services.store.service.watch import Watching
from services.store.settings import StoreSettings
from tuning.v1 import (
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    plan_service_pb2,
    plan_service_pb2_grpc,
    run_service_pb2,
    trial_service_pb2,
    trial_service_pb2_grpc,
)

logger = structlog.get_logger()

# A database that starts beside the store needs a moment; one that stays away is an error.
_START_SECONDS = 60.0
_PROBE_SECONDS = 1.0
_RESTART_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningStore:
    """A store that serves: `address` to everybody, `internal_address` to workers and coordinators."""

    address: str
    internal_address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """Everything a store can do, without a transport; tests use it as it is."""

    plans: Plans
    searchers: Searchers
    creation: TrialCreation
    hand_outs: HandOuts
    claims: Claims
    results: Results
    requeueing: Requeueing
    sessions: Sessions
    orders: OrderBoard
    reaper: Reaper
    runs: Runs
    watching: Watching
    datasets: Datasets
    model_runs: ModelRuns
    feed: PollingFeed


def use_cases(settings: StoreSettings, database: Database) -> UseCases:
    """Wires use cases to a database."""
    storage = PostgresStorage(database)
    reader = PostgresReader(database)
    session_store = PostgresSessions(database)
    orders = OrderBoard(session_store)
    feed = PollingFeed(
        reader, poll_seconds=settings.watch_poll_seconds, on_stops=orders.stops_requested
    )
    # Jitter only has to differ between replicas.
    random = Random()  # noqa: S311 (no secret depends on it)
    requeueing = Requeueing(storage, feed, random)
    sessions = Sessions(
        session_store,
        requeueing,
        lease_seconds=settings.lease_seconds,
        beat_seconds=settings.beat_seconds,
    )
    datasets = Datasets(
        PostgresDatasets(database),
        ArrowDatasetFiles(),
        max_bytes=settings.max_upload_mib * 1024 * 1024,
    )
    return UseCases(
        plans=Plans(storage, reader, feed),
        searchers=Searchers(
            PostgresSearchers(database), lease_seconds=settings.searcher_lease_seconds
        ),
        creation=TrialCreation(storage, feed),
        hand_outs=HandOuts(PostgresHandOuts(database), dispatch_seconds=settings.dispatch_seconds),
        claims=Claims(storage, feed),
        results=Results(storage, feed, random),
        requeueing=requeueing,
        sessions=sessions,
        orders=orders,
        reaper=Reaper(sessions, lease_seconds=settings.lease_seconds),
        runs=Runs(reader),
        watching=Watching(
            reader,
            reader,
            feed,
            bookmark_seconds=settings.bookmark_seconds,
            max_watches=settings.max_watches,
        ),
        datasets=datasets,
        model_runs=ModelRuns(PostgresModelRuns(database), reader, datasets),
        feed=feed,
    )


@asynccontextmanager
async def running_store(settings: StoreSettings) -> AsyncIterator[RunningStore]:
    """Runs a store: brings the schema up to date, serves, and drains when left.

    Raises:
        OSError: an address cannot be bound.
        Unavailable: the database did not answer for a minute.
    """
    async with AsyncExitStack() as stack:
        await _migrated(settings.postgres_dsn)
        database = await stack.enter_async_context(open_database(settings.postgres_dsn))
        cases = use_cases(settings, database)
        drain = _Drain(cases)
        trials = TrialServicer(
            sessions=cases.sessions,
            orders=cases.orders,
            claims=cases.claims,
            results=cases.results,
            requeueing=cases.requeueing,
            hand_outs=cases.hand_outs,
            runs=cases.runs,
            datasets=cases.datasets,
            is_draining=lambda: drain.begun,
        )
        stack.push_async_callback(trials.settle_background)
        servers = _servers(settings, cases, trials)
        for loop in (cases.feed.run, cases.orders.run, cases.reaper.run):
            stack.push_async_callback(_cancelled, _background(loop))
        addresses = []
        for server in servers:
            addresses.append(await server.start())
            stack.push_async_callback(server.stop, 0)
        stack.push_async_callback(_cancelled, _background(lambda: _probe(database, servers)))
        running = RunningStore(address=addresses[0], internal_address=addresses[1])
        await _tell_health(database, servers)
        logger.info(
            "store started", address=running.address, internal_address=running.internal_address
        )
        try:
            yield running
        finally:
            logger.info("store draining", grace_seconds=settings.drain_seconds)
            drain.begin()
            await asyncio.gather(*(server.stop(settings.drain_seconds) for server in servers))


class _Drain:
    """Ends what would otherwise go on for ever: watches and order streams."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases
        self.begun = False

    def begin(self) -> None:
        """Ends all streams; clients resume elsewhere."""
        self.begun = True
        self._cases.feed.drain()
        self._cases.orders.drain()


def _servers(
    settings: StoreSettings, cases: UseCases, trials: TrialServicer
) -> tuple[RpcServer, RpcServer]:
    datasets, models = DatasetServicer(cases.datasets), ModelServicer(cases.model_runs)
    runs = RunServicer(cases.runs, cases.watching)
    plans = PlanServicer(
        plans=cases.plans,
        searchers=cases.searchers,
        creation=cases.creation,
        hand_outs=cases.hand_outs,
    )
    public = RpcServer(
        listen=settings.store_listen,
        services=[
            (
                service_name(dataset_service_pb2.DESCRIPTOR, "DatasetService"),
                lambda server: dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server(
                    datasets, server
                ),
            ),
            (
                service_name(model_service_pb2.DESCRIPTOR, "ModelService"),
                lambda server: model_service_pb2_grpc.add_ModelServiceServicer_to_server(
                    models, server
                ),
            ),
            (service_name(run_service_pb2.DESCRIPTOR, "RunService"), runs.register),
        ],
        reflection_enabled=settings.reflection,
    )
    internal = RpcServer(
        listen=settings.store_internal_listen,
        services=[
            (
                service_name(trial_service_pb2.DESCRIPTOR, "TrialService"),
                lambda server: trial_service_pb2_grpc.add_TrialServiceServicer_to_server(
                    trials, server
                ),
            ),
            (
                service_name(plan_service_pb2.DESCRIPTOR, "PlanService"),
                lambda server: plan_service_pb2_grpc.add_PlanServiceServicer_to_server(
                    plans, server
                ),
            ),
        ],
        reflection_enabled=settings.reflection,
        max_request_bytes=MAX_INTERNAL_REQUEST_BYTES,
    )
    return public, internal


async def _migrated(dsn: str) -> None:
    deadline = asyncio.get_running_loop().time() + _START_SECONDS
    while True:
        try:
            await migrate(dsn)
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError) as error:
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(
                    f"the database did not answer for {_START_SECONDS:g} s; check"
                    " CRESCENDO_POSTGRES_DSN",
                    reason="DATABASE_UNAVAILABLE",
                ) from error
            logger.warning("waiting for the database", error=type(error).__name__)
            await asyncio.sleep(1)
        else:
            return


async def _probe(database: Database, servers: tuple[RpcServer, ...]) -> None:
    while True:
        await asyncio.sleep(_PROBE_SECONDS)
        await _tell_health(database, servers)


async def _tell_health(database: Database, servers: tuple[RpcServer, ...]) -> None:
    """Tells health checks whether the database answers."""
    try:
        async with asyncio.timeout(2), database.beating() as connection:
            await connection.fetchval("SELECT 1")
    except (Unavailable, TimeoutError):
        serving = False
    else:
        serving = True
    for server in servers:
        await server.set_serving(serving=serving)


def _background(loop: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(_kept_running(loop))


async def _kept_running(loop: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a loop that never ends by itself; begins it anew after an error nobody foresaw."""
    while True:
        try:
            await loop()
        except Exception as error:
            logger.critical("a background loop of the store failed", exc_info=error)
        await asyncio.sleep(_RESTART_SECONDS)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})

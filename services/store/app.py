"""Composition of the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random

import asyncpg
import structlog

from services.common.monitoring import monitoring
from services.common.rpc.interceptors import CallInterceptor
from services.common.rpc.server import MAX_INTERNAL_REQUEST_BYTES, RpcServer, service_name
from services.common.vitals import Vitals
from services.common.watch_gaps import WatchGaps
from services.core.errors import Unavailable
from services.store.adapters import metrics
from services.store.adapters.change_feed import PollingFeed
from services.store.adapters.dataset_files.files import ArrowDatasetFiles
from services.store.adapters.grpc_servicer.dataset_service import DatasetServicer
from services.store.adapters.grpc_servicer.model_service import ModelServicer
from services.store.adapters.grpc_servicer.pages import PageEncoder
from services.store.adapters.grpc_servicer.plan_service import PlanServicer
from services.store.adapters.grpc_servicer.run_service import WATCHES, RunServicer
from services.store.adapters.grpc_servicer.trial_service import TrialServicer
from services.store.adapters.postgres.catalogue import PostgresDatasets, PostgresModelRuns
from services.store.adapters.postgres.database import Database, open_database
from services.store.adapters.postgres.keeping import PostgresDue
from services.store.adapters.postgres.queries import QUERIES
from services.store.adapters.postgres.reader import PostgresReader
from services.store.adapters.postgres.retention import PostgresRetention
from services.store.adapters.postgres.stuck_sessions import StuckSessions
from services.store.adapters.postgres.transaction import PostgresStorage
from services.store.adapters.postgres.workforce import (
    PostgresHandOuts,
    PostgresSearchers,
    PostgresSessions,
)
from services.store.adapters.readiness import StoreReadiness
from services.store.adapters.shared_reads import SharedEventReader
from services.store.migrate import migrate
from services.store.service.admission import Admission
from services.store.service.claims import Claims
from services.store.service.comparing import Comparing
from services.store.service.creation import TrialCreation
from services.store.service.datasets import Datasets
from services.store.service.hand_out import HandOuts
from services.store.service.keeper import Keeper
from services.store.service.model_runs import ModelRuns
from services.store.service.orders import OrderBoard
from services.store.service.plans import Plans
from services.store.service.reaper import Reaper
from services.store.service.requeue import Requeueing
from services.store.service.results import Results
from services.store.service.retention import Retention
from services.store.service.runs import Runs
from services.store.service.searchers import Searchers
from services.store.service.sessions import Sessions
from services.store.service.steps import Steps
from services.store.service.tracing import Tracing
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningStore:
    """A store that serves: `address` to everybody, `internal_address` to workers and coordinators.

    `monitoring_address` answers /metrics, /livez and /readyz; empty when turned off.
    """

    address: str
    internal_address: str
    monitoring_address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """Everything a store can do, without a transport; tests use it as it is."""

    plans: Plans
    searchers: Searchers
    creation: TrialCreation
    hand_outs: HandOuts
    claims: Claims
    results: Results
    steps: Steps
    requeueing: Requeueing
    sessions: Sessions
    orders: OrderBoard
    reaper: Reaper
    keeper: Keeper
    runs: Runs
    tracing: Tracing
    comparing: Comparing
    watching: Watching
    retention: Retention
    datasets: Datasets
    model_runs: ModelRuns
    feed: PollingFeed


def use_cases(
    settings: StoreSettings, database: Database, *, random: Random | None = None
) -> UseCases:
    """Wires use cases to a database; `random` decides the jitter of delays."""
    storage = PostgresStorage(database)
    reader = PostgresReader(database)
    session_store = PostgresSessions(database)
    orders = OrderBoard(session_store)
    feed = PollingFeed(
        reader, poll_seconds=settings.watch_poll_seconds, on_stops=orders.stops_requested
    )
    # Jitter only has to differ between replicas.
    random = random or Random()  # noqa: S311 (no secret depends on it)
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
    tracing = Tracing(reader)
    return UseCases(
        plans=Plans(storage, reader, feed),
        searchers=Searchers(
            PostgresSearchers(database), lease_seconds=settings.searcher_lease_seconds
        ),
        creation=TrialCreation(storage, feed),
        hand_outs=HandOuts(
            PostgresHandOuts(database),
            dispatch_seconds=settings.dispatch_seconds,
            tenant_weights=settings.weights_by_tenant(),
        ),
        claims=Claims(storage, feed, random),
        results=Results(storage, feed, random),
        steps=Steps(storage, feed),
        requeueing=requeueing,
        sessions=sessions,
        orders=orders,
        reaper=Reaper(sessions, lease_seconds=settings.lease_seconds),
        keeper=Keeper(PostgresDue(database), storage, feed, lease_seconds=settings.lease_seconds),
        runs=Runs(reader),
        tracing=tracing,
        comparing=Comparing(tracing),
        watching=Watching(
            SharedEventReader(reader),
            feed,
            WatchGaps("store"),
            bookmark_seconds=settings.bookmark_seconds,
        ),
        retention=Retention(PostgresRetention(database), days=settings.retention_days),
        datasets=datasets,
        model_runs=ModelRuns(PostgresModelRuns(database), reader, datasets),
        feed=feed,
    )


@asynccontextmanager
async def running_store(
    settings: StoreSettings, vitals: Vitals | None = None
) -> AsyncIterator[RunningStore]:
    """Runs a store: brings the schema up to date, serves, and drains when left.

    Args:
        vitals: is told when one of the store's loops ends for good.

    Raises:
        OSError: an address cannot be bound.
        Unavailable: the database did not answer for a minute.
    """
    vitals = vitals or Vitals()
    async with AsyncExitStack() as stack:
        readiness, databases = StoreReadiness(), list[Database]()
        # First of all: a store that waits for its database says so.
        monitoring_address = await stack.enter_async_context(
            monitoring(
                settings.metrics_listen,
                look=readiness.look,
                refresh=lambda: _refresh_gauges(databases),
            )
        )
        await _migrated(settings.postgres_dsn)
        database = await stack.enter_async_context(open_database(settings.postgres_dsn))
        databases.append(database)
        cases = use_cases(settings, database)
        drain = _Drain(cases)
        trials = TrialServicer(
            sessions=cases.sessions,
            orders=cases.orders,
            claims=cases.claims,
            results=cases.results,
            steps=cases.steps,
            requeueing=cases.requeueing,
            hand_outs=cases.hand_outs,
            runs=cases.runs,
            datasets=cases.datasets,
            is_draining=lambda: drain.begun,
        )
        stack.push_async_callback(trials.settle_background)
        servers = _servers(settings, cases, trials)
        loops = {
            "feed": cases.feed.run,
            "orders": cases.orders.run,
            "reaper": cases.reaper.run,
            "retention": cases.retention.run,
            "keeper": cases.keeper.run,
            "stuck sessions": StuckSessions(database).run,
        }
        for name, loop in loops.items():
            stack.push_async_callback(vitals.keep(name, loop).stop)
        addresses = []
        for server in servers:
            addresses.append(await server.start())
            stack.push_async_callback(server.stop, 0)
        await readiness.check(database, servers)
        probe = vitals.keep("probe", lambda: readiness.run(database, servers))
        stack.push_async_callback(probe.stop)
        running = RunningStore(
            address=addresses[0],
            internal_address=addresses[1],
            monitoring_address=monitoring_address,
        )
        logger.info(
            "store started", address=running.address, internal_address=running.internal_address
        )
        try:
            yield running
        finally:
            logger.info("store draining", grace_seconds=settings.drain_seconds)
            readiness.drain()
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
    pages = PageEncoder()
    # Apart, so that clients never take the places of coordinators, which decide by what they watch.
    runs, inner_runs = (
        RunServicer(
            cases.runs,
            cases.tracing,
            cases.comparing,
            cases.watching,
            admission=Admission(limit, changed=WATCHES.labels(who=who).set),
            pages=pages,
        )
        for who, limit in (
            ("clients", settings.max_watches),
            ("coordinators", settings.max_coordinator_watches),
        )
    )
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
        stream_write_seconds=settings.stream_write_seconds,
        calls=CallInterceptor(
            deadline_seconds=settings.rpc_deadline_seconds, observe=metrics.observe_call
        ),
    )
    trial_service = service_name(trial_service_pb2.DESCRIPTOR, "TrialService")
    internal = RpcServer(
        listen=settings.store_internal_listen,
        services=[
            (
                trial_service,
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
            (service_name(run_service_pb2.DESCRIPTOR, "RunService"), inner_runs.register),
        ],
        reflection_enabled=settings.reflection,
        max_request_bytes=MAX_INTERNAL_REQUEST_BYTES,
        stream_write_seconds=settings.stream_write_seconds,
        calls=CallInterceptor(
            deadline_seconds=settings.rpc_deadline_seconds,
            observe=metrics.observe_call,
            # Coordinators pass on their clients' ids; what they do by themselves has none.
            made_up_is_cause=False,
            reporting_services=frozenset({trial_service}),
        ),
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
            logger.warning("waiting for the database", error=type(error).__name__, limit_seconds=10)
            await asyncio.sleep(1)
        else:
            return


async def _refresh_gauges(databases: list[Database]) -> None:
    for database in databases:
        async with database.reading() as connection:
            metrics.measure_workforce(await connection.fetch(QUERIES["workforce"]))

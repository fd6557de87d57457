"""Puts the coordinator together: opens everything, starts it, and closes it in reverse order."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from services.common.messaging.port import Broker
from services.common.monitoring import monitoring
from services.common.rpc.client import open_channel
from services.common.rpc.interceptors import CallInterceptor
from services.common.rpc.server import RpcServer, service_name
from services.common.vitals import Vitals
from services.coordinator.adapters import metrics
from services.coordinator.adapters.dispatcher import BrokerTrialDispatcher
from services.coordinator.adapters.grpc_servicer import OrchestrationServicer, TuningServicer
from services.coordinator.adapters.queue_watch import QueueWatch
from services.coordinator.adapters.readiness import StoreReadiness
from services.coordinator.adapters.searchers.suggesting import PooledSuggesting
from services.coordinator.adapters.store_client import StoreClient
from services.coordinator.service.bell import Bell
from services.coordinator.service.capacity import Capacity
from services.coordinator.service.conducting import Conductor
from services.coordinator.service.dispatching import Dispatching
from services.coordinator.service.following import Followers
from services.coordinator.service.leasing import SearcherLeases
from services.coordinator.service.starting import Starting
from services.coordinator.service.steering import Steering
from services.coordinator.settings import CoordinatorSettings
from tuning.v1 import (
    orchestration_service_pb2,
    orchestration_service_pb2_grpc,
    tuning_service_pb2,
    tuning_service_pb2_grpc,
)

logger = structlog.get_logger()

_GRACE_SECONDS = 5.0
_RESTART_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCoordinator:
    """A coordinator that runs; `address` is where clients reach it.

    `monitoring_address` answers /metrics, /livez and /readyz; empty when turned off.
    """

    address: str
    monitoring_address: str = ""


@asynccontextmanager
async def running_coordinator(
    settings: CoordinatorSettings, broker: Broker, vitals: Vitals | None = None
) -> AsyncIterator[RunningCoordinator]:
    """Runs a coordinator until the context is left; then it drains and gives its leases back.

    Starts whether or not the store and the broker are up; health checks say NOT_SERVING until the
    store answers.

    Args:
        broker: entered already, and closed by the caller.
        vitals: is told when the coordinator's loops end for good.

    Raises: OSError: the address cannot be bound.
    """
    coordinator_id = str(uuid.uuid4())
    async with AsyncExitStack() as stack:
        public = await stack.enter_async_context(open_channel(settings.store_address))
        internal = await stack.enter_async_context(open_channel(settings.store_internal_address))
        store = StoreClient(public=public, internal=internal)
        suggesting = stack.enter_context(
            PooledSuggesting(
                processes=settings.searcher_processes,
                timeout_seconds=settings.suggestion_timeout_seconds,
            )
        )
        leases, dispatch, capacity = Bell(), Bell(), Capacity()
        dispatching = Dispatching(
            store=store,
            dispatcher=BrokerTrialDispatcher(broker),
            coordinator_id=coordinator_id,
            capacity=capacity,
            bell=dispatch,
        )
        server = _server(
            settings,
            Starting(
                store=store,
                leases=leases,
                trial_timeout_seconds=settings.trial_timeout_seconds,
                price_per_hour=settings.price_per_hour,
            ),
            Steering(store=store, closer=store, leases=leases, dispatch=dispatch),
        )
        readiness = StoreReadiness(
            {settings.store_address: public, settings.store_internal_address: internal},
            lambda serving: server.set_serving(serving=serving),
            broker=broker,
        )
        monitoring_address = await stack.enter_async_context(
            monitoring(settings.metrics_listen, look=readiness.look)
        )
        queues = QueueWatch(broker, lambda: [each.worker_class for each in capacity.classes])

        async def work() -> None:
            # An error is a bug. All that is known is in the store: begin anew, as a restart would.
            try:
                await conduct_and_dispatch()
            finally:
                await server.set_serving(serving=False)

        async def conduct_and_dispatch() -> None:
            async with asyncio.TaskGroup() as tasks:
                conductor = Conductor(
                    store=store,
                    suggesting=suggesting,
                    followers=Followers(store, tasks),
                    capacity=capacity,
                    dispatch=dispatch,
                    leases=leases,
                )
                searcher_leases = SearcherLeases(
                    store=store,
                    coordinator_id=coordinator_id,
                    conduct=conductor.conduct,
                    bell=leases,
                    tasks=tasks,
                )
                tasks.create_task(readiness.run(), name="readiness")
                tasks.create_task(queues.run(), name="queues")
                tasks.create_task(dispatching.run(), name="dispatching")
                tasks.create_task(searcher_leases.run(), name="leases")

        working = (vitals or Vitals()).keep("coordinator", work, restart_seconds=_RESTART_SECONDS)
        stack.push_async_callback(working.stop)
        address = await server.start()
        # Pushed last, so done first: no new request while what serves them goes away.
        stack.push_async_callback(server.stop, _GRACE_SECONDS)
        logger.info("coordinator runs", address=address, coordinator_id=coordinator_id)
        try:
            yield RunningCoordinator(address=address, monitoring_address=monitoring_address)
        finally:
            readiness.drain()
            logger.info("coordinator drains")


def _server(settings: CoordinatorSettings, starting: Starting, steering: Steering) -> RpcServer:
    orchestrations = OrchestrationServicer(starting=starting, steering=steering)
    tunings = TuningServicer(starting=starting)
    return RpcServer(
        listen=settings.coordinator_listen,
        services=[
            (
                service_name(orchestration_service_pb2.DESCRIPTOR, "OrchestrationService"),
                lambda server: (
                    orchestration_service_pb2_grpc.add_OrchestrationServiceServicer_to_server(
                        orchestrations, server
                    )
                ),
            ),
            (
                service_name(tuning_service_pb2.DESCRIPTOR, "TuningService"),
                lambda server: tuning_service_pb2_grpc.add_TuningServiceServicer_to_server(
                    tunings, server
                ),
            ),
        ],
        reflection_enabled=settings.reflection,
        calls=CallInterceptor(
            deadline_seconds=settings.rpc_deadline_seconds, observe=metrics.observe_call
        ),
    )

"""Composition of the worker."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from services.common.messaging.port import Broker, Handler
from services.common.monitoring import monitoring
from services.common.rpc.client import open_channel
from services.common.vitals import Vitals
from services.worker.adapters.consumer import BatchConsumer
from services.worker.adapters.datasets import DatasetCache
from services.worker.adapters.evaluation.limits import MIB, ChildLimits, share_of_memory
from services.worker.adapters.evaluation.pool import ChildPool
from services.worker.adapters.metrics import PrometheusRecord, measure
from services.worker.adapters.readiness import WorkerReadiness
from services.worker.adapters.store_client import GrpcTrialStore
from services.worker.ports import Evaluator
from services.worker.service.worker import Worker
from services.worker.settings import WorkerSettings

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningWorker:
    """A worker that runs; `slots` trials at once.

    `monitoring_address` answers /metrics, /livez and /readyz; empty when turned off.
    """

    name: str
    slots: int
    monitoring_address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningEvaluator:
    """An evaluator that is ready, and how many of its slots are at work."""

    evaluator: Evaluator
    busy: Callable[[], int]


OpenEvaluator = Callable[[WorkerSettings, Vitals], AbstractAsyncContextManager[RunningEvaluator]]


@asynccontextmanager
async def children(settings: WorkerSettings, vitals: Vitals) -> AsyncIterator[RunningEvaluator]:
    """Evaluates in child processes, one per slot."""
    limits = _child_limits(settings)
    logger.info("starting children", trial_memory_mb=(limits.memory_bytes or 0) // MIB)
    async with ChildPool(settings.slots, limits, vitals) as pool:
        yield RunningEvaluator(
            evaluator=pool, busy=lambda: sum(each.is_busy for each in pool.children())
        )


@asynccontextmanager
async def running_worker(
    settings: WorkerSettings,
    broker: Broker,
    vitals: Vitals | None = None,
    *,
    evaluation: OpenEvaluator = children,
) -> AsyncIterator[RunningWorker]:
    """Runs a worker; leaving drains it.

    Entering waits for nobody: the worker registers, and consumes, as soon as the store answers.

    Args:
        vitals: is told when the worker or its consumer ends for good.
        evaluation: opens what evaluates trials.
    """
    vitals = vitals or Vitals()
    slots = settings.slots
    name = f"{socket.gethostname()}:{os.getpid()}"
    async with AsyncExitStack() as stack:
        channel = open_channel(settings.store_internal_address)
        stack.push_async_callback(channel.close, None)
        store = GrpcTrialStore(channel)
        datasets = DatasetCache(
            settings.cache_folder,
            download=store.download,
            max_bytes=settings.worker_cache_mb * 1024 * 1024,
        )
        stack.callback(datasets.close)
        evaluating = await stack.enter_async_context(evaluation(settings, vitals))
        worker = Worker(
            store=store,
            datasets=datasets,
            evaluator=evaluating.evaluator,
            record=PrometheusRecord(),
            worker_class=settings.worker_class,
            worker_name=name,
            slots=slots,
            trial_timeout_seconds=settings.trial_timeout_seconds,
        )
        measure(
            slots=slots,
            free_slots=worker.free_slots,
            busy=evaluating.busy,
            unreported=worker.unreported,
        )
        readiness = WorkerReadiness(
            broker, worker.has_session, store_address=settings.store_internal_address
        )
        monitoring_address = await stack.enter_async_context(
            monitoring(settings.metrics_listen, look=readiness.look)
        )
        stack.push_async_callback(vitals.start("worker", worker.run()).stop)
        stack.push_async_callback(worker.drain, grace_seconds=settings.worker_drain_seconds)
        # Last in, first out: nothing new comes in while the rest drains.
        handler = BatchConsumer(worker.take)
        consume = _consume(worker, broker, settings, handler, readiness)
        stack.push_async_callback(vitals.start("consume", consume).stop)
        logger.info(
            "worker started",
            worker=name,
            slots=slots,
            worker_class=settings.worker_class,
        )
        try:
            yield RunningWorker(name=name, slots=slots, monitoring_address=monitoring_address)
        finally:
            readiness.is_draining = True
            logger.info("worker draining", grace_seconds=settings.worker_drain_seconds)


async def _consume(
    worker: Worker,
    broker: Broker,
    settings: WorkerSettings,
    handler: Handler,
    readiness: WorkerReadiness,
) -> None:
    await worker.wait_registered()
    async with broker.consume(settings.worker_class, prefetch=settings.slots, handler=handler):
        readiness.is_consuming = True
        await asyncio.get_running_loop().create_future()


def _child_limits(settings: WorkerSettings) -> ChildLimits:
    memory = settings.trial_memory_mb
    if memory is None:
        limit: int | None = share_of_memory(settings.slots)
    else:
        limit = memory * MIB or None
    return ChildLimits(
        memory_bytes=limit,
        growth_bytes=settings.child_growth_mb * MIB,
        prefix_bytes=settings.prefix_cache_mb * MIB,
    )

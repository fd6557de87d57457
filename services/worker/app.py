"""Composition of the worker."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from services.common.messaging.port import Broker, Handler
from services.common.rpc.client import open_channel
from services.worker.adapters.consumer import BatchConsumer
from services.worker.adapters.datasets import DatasetCache
from services.worker.adapters.evaluation.pool import ChildPool
from services.worker.adapters.store_client import GrpcTrialStore
from services.worker.service.worker import Worker
from services.worker.settings import WorkerSettings

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningWorker:
    """A worker that runs; `slots` trials at once."""

    name: str
    slots: int


@asynccontextmanager
async def running_worker(settings: WorkerSettings, broker: Broker) -> AsyncIterator[RunningWorker]:
    """Runs a worker; leaving drains it.

    Entering waits for nobody: the worker registers, and consumes, as soon as the store answers.
    """
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
        pool = await stack.enter_async_context(ChildPool(slots))
        worker = Worker(
            store=store,
            datasets=datasets,
            evaluator=pool,
            worker_class=settings.worker_class,
            worker_name=name,
            slots=slots,
            trial_timeout_seconds=settings.trial_timeout_seconds,
        )
        run = asyncio.create_task(worker.run(), name="worker")
        run.add_done_callback(_report)
        stack.push_async_callback(_ended, run)
        stack.push_async_callback(worker.drain, grace_seconds=settings.worker_drain_seconds)
        # Last in, first out: nothing new comes in while the rest drains.
        consume = asyncio.create_task(
            _consume(worker, broker, settings.worker_class, slots, BatchConsumer(worker.take)),
            name="consume",
        )
        consume.add_done_callback(_report)
        # Nothing may be claimed that nobody would run: without its worker the consumer ends too.
        run.add_done_callback(lambda _: consume.cancel())
        stack.push_async_callback(_ended, consume)
        logger.info("worker started", worker=name, slots=slots, worker_class=settings.worker_class)
        yield RunningWorker(name=name, slots=slots)
        logger.info("worker draining", grace_seconds=settings.worker_drain_seconds)


async def _consume(
    worker: Worker, broker: Broker, worker_class: str, slots: int, handler: Handler
) -> None:
    await worker.wait_registered()
    async with broker.consume(worker_class, prefetch=slots, handler=handler):
        await asyncio.get_running_loop().create_future()


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.critical("worker failed", task=task.get_name(), exc_info=task.exception())

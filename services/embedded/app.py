"""Puts store, coordinator and worker into one process, over gRPC on loopback, with a Postgres of its own."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from services.common.messaging.memory import MemoryBroker
from services.common.settings import load
from services.common.vitals import Vitals
from services.coordinator.app import running_coordinator
from services.coordinator.settings import CoordinatorSettings
from services.embedded.postgres import embedded_postgres
from services.embedded.settings import EmbeddedSettings, worker_environ
from services.store.app import running_store
from services.store.settings import StoreSettings
from services.worker.app import running_worker
from services.worker.settings import WorkerSettings

# Read by the command line to find the services of this machine.
_ADDRESSES_FILE = "addresses.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningEmbedded:
    """Where the services listen, `host:port`, and how many trials run at once."""

    coordinator: str
    store: str
    store_internal: str
    slots: int


@contextlib.asynccontextmanager
async def running_embedded(
    settings: EmbeddedSettings, environ: Mapping[str, str], vitals: Vitals | None = None
) -> AsyncIterator[RunningEmbedded]:
    """Runs the services until the context is left; what they were doing goes on at the next start.

    Args:
        environ: each service reads its own settings from it; addresses and database are set here.
        vitals: is told when a critical task of one of the services ends.

    Raises:
        Unavailable: Postgres cannot be started, or another process uses the data folder.
        OSError: a port is taken.
        SettingsError: values in the environment are wrong.
    """
    folder = settings.data_folder
    # All are read before anything starts: a mistake in one is said at once.
    store_settings = load(StoreSettings, environ)
    coordinator_settings = load(CoordinatorSettings, environ)
    worker_settings = load(WorkerSettings, worker_environ(environ, folder))
    folder.mkdir(parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        # Blocks the loop for its half second, while nothing else runs on it.
        dsn = settings.postgres_dsn or stack.enter_context(embedded_postgres(folder / "postgres"))
        store = await stack.enter_async_context(
            running_store(replace(store_settings, postgres_dsn=dsn), vitals)
        )
        broker = await stack.enter_async_context(MemoryBroker())
        coordinator = await stack.enter_async_context(
            running_coordinator(
                replace(
                    coordinator_settings,
                    store_address=store.address,
                    store_internal_address=store.internal_address,
                    # The store's address tells the metrics of the whole process.
                    metrics_listen="off",
                ),
                broker,
                vitals,
            )
        )
        worker = await stack.enter_async_context(
            running_worker(
                replace(
                    worker_settings,
                    store_internal_address=store.internal_address,
                    metrics_listen="off",
                ),
                broker,
                vitals,
            )
        )
        running = RunningEmbedded(
            coordinator=coordinator.address,
            store=store.address,
            store_internal=store.internal_address,
            slots=worker.slots,
        )
        stack.enter_context(_published(folder / _ADDRESSES_FILE, running))
        yield running


@contextlib.contextmanager
def _published(path: Path, running: RunningEmbedded) -> Iterator[None]:
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps({**asdict(running), "pid": os.getpid()}))
    # In one step: whoever waits for the file reads it whole.
    scratch.rename(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)

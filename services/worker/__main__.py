"""Runs a worker until SIGTERM: `python -m services.worker`."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.common.lifecycle import run_until_signal
from services.common.messaging.rabbit import RabbitBroker
from services.common.messaging.topology import Topology
from services.common.settings import SettingsError, load
from services.common.telemetry import configure_logging
from services.worker.app import RunningWorker, running_worker
from services.worker.settings import WorkerSettings


def main() -> None:
    """Loads settings, sets up logs and runs."""
    try:
        settings = load(WorkerSettings, os.environ)
    except SettingsError as error:
        sys.exit(str(error))
    configure_logging("worker", level=settings.log_level, log_format=settings.log_format)

    @asynccontextmanager
    async def start() -> AsyncIterator[RunningWorker]:
        topology = Topology(prefix=settings.queue_prefix)
        async with (
            RabbitBroker(settings.amqp_url, topology) as broker,
            running_worker(settings, broker) as worker,
        ):
            yield worker

    run_until_signal(start)


if __name__ == "__main__":
    main()

"""Runs a worker until SIGTERM: `python -m services.worker`."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.common.command_line import answered
from services.common.lifecycle import run_service
from services.common.messaging.rabbit import RabbitBroker
from services.common.messaging.topology import Topology
from services.common.setting_checks import warn_of_unknown
from services.common.settings import PREFIX, SettingsError, load
from services.common.telemetry import configure_logging
from services.common.vitals import Vitals
from services.worker.app import RunningWorker, running_worker
from services.worker.settings import WorkerSettings

_ABOUT = """\
Runs trials: takes them from the queue of its class in RabbitMQ, fits and scores models in child
processes and reports to the store. It keeps nothing but a cache of datasets; as many may run as there
are machines.

Runs until SIGTERM or SIGINT, then lets running trials end. Status: 0 after a signal, 1 if it cannot
start, 2 for wrong settings or arguments, 70 if a vital part of it has failed.
"""


def main(arguments: list[str]) -> int:
    """Loads settings, sets up logs and runs."""
    status = answered(arguments, module="services.worker", about=_ABOUT, settings=WorkerSettings)
    if status is not None:
        return status
    try:
        settings = load(WorkerSettings, os.environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logging("worker", level=settings.log_level, log_format=settings.log_format)
    warn_of_unknown(os.environ, prefix=PREFIX)

    @asynccontextmanager
    async def start(vitals: Vitals) -> AsyncIterator[RunningWorker]:
        topology = Topology(prefix=settings.queue_prefix)
        async with (
            RabbitBroker(settings.amqp_url, topology, vitals=vitals) as broker,
            running_worker(settings, broker, vitals) as worker,
        ):
            yield worker

    return run_service(start)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

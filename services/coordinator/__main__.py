"""Runs a coordinator: `python -m services.coordinator`."""

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
from services.coordinator.app import RunningCoordinator, running_coordinator
from services.coordinator.settings import CoordinatorSettings

_ABOUT = """\
Decides what a search tries next: answers OrchestrationService and TuningService, asks searchers for
trials, brings them to the workers' queues in RabbitMQ and narrows spaces between stages. All it knows
is in the store; several may run side by side.

Runs until SIGTERM or SIGINT. Status: 0 after a signal, 1 if it cannot start, 2 for wrong settings or
arguments, 70 if a vital part of it has failed.
"""


def main(arguments: list[str]) -> int:
    """Loads the settings and runs until SIGTERM or SIGINT."""
    status = answered(
        arguments, module="services.coordinator", about=_ABOUT, settings=CoordinatorSettings
    )
    if status is not None:
        return status
    try:
        settings = load(CoordinatorSettings, os.environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logging("coordinator", level=settings.log_level, log_format=settings.log_format)
    warn_of_unknown(os.environ, prefix=PREFIX)

    @asynccontextmanager
    async def start(vitals: Vitals) -> AsyncIterator[RunningCoordinator]:
        topology = Topology(prefix=settings.queue_prefix)
        async with (
            RabbitBroker(settings.amqp_url, topology, vitals=vitals) as broker,
            running_coordinator(settings, broker, vitals) as running,
        ):
            yield running

    return run_service(start)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

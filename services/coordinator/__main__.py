"""Runs a coordinator: `python -m services.coordinator`."""

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
from services.coordinator.app import RunningCoordinator, running_coordinator
from services.coordinator.settings import CoordinatorSettings


def main() -> int:
    """Loads the settings and runs until SIGTERM or SIGINT."""
    try:
        settings = load(CoordinatorSettings, os.environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logging("coordinator", level=settings.log_level, log_format=settings.log_format)

    @asynccontextmanager
    async def start() -> AsyncIterator[RunningCoordinator]:
        topology = Topology(prefix=settings.queue_prefix)
        async with (
            RabbitBroker(settings.amqp_url, topology) as broker,
            running_coordinator(settings, broker) as running,
        ):
            yield running

    run_until_signal(start)
    return 0


if __name__ == "__main__":
    sys.exit(main())

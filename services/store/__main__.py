"""The store as a process: `python -m services.store`, or `… migrate` to prepare the database only."""

from __future__ import annotations

import asyncio
import os
import sys

import structlog

from services.common.lifecycle import run_until_signal
from services.common.settings import SettingsError, load
from services.common.telemetry import configure_logging
from services.store.app import running_store
from services.store.migrate import migrate
from services.store.settings import StoreSettings

_USAGE = "usage: python -m services.store [migrate]"


def main(arguments: list[str]) -> int:
    """Runs the command. Returns: the process's exit code."""
    if arguments not in ([], ["migrate"]):
        sys.stderr.write(f"{_USAGE}\n")
        return 2
    try:
        settings = load(StoreSettings, os.environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logging("store", level=settings.log_level, log_format=settings.log_format)
    if arguments:
        applied = asyncio.run(migrate(settings.postgres_dsn))
        structlog.get_logger().info("schema is up to date", applied=applied)
        return 0
    run_until_signal(lambda: running_store(settings))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

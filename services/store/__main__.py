"""The store as a process: `python -m services.store`.

`… migrate` only prepares the database; `… new-epoch` tells all watchers that a restore lost commits.
"""

from __future__ import annotations

import asyncio
import os
import sys

import structlog

from services.common.command_line import answered
from services.common.lifecycle import run_service
from services.common.setting_checks import warn_of_unknown
from services.common.settings import PREFIX, SettingsError, load
from services.common.telemetry import configure_logging
from services.store.adapters.postgres.database import open_database
from services.store.adapters.postgres.reader import PostgresReader
from services.store.app import running_store
from services.store.migrate import migrate
from services.store.settings import StoreSettings

_ABOUT = """\
Keeps everything in Postgres, as the only one with its credentials: answers DatasetService,
ModelService and RunService for clients, and on another port what coordinators and workers ask. Brings
its tables up to date when it starts; several may run side by side.

`migrate` only does that; `new-epoch` tells all watchers, after a restore, that events were lost.

Runs until SIGTERM or SIGINT. Status: 0 after a signal, 1 if it cannot start, 2 for wrong settings or
arguments, 70 if a vital part of it has failed.
"""


def main(arguments: list[str]) -> int:
    """Runs the command. Returns: the process's exit code."""
    status = answered(
        arguments,
        module="services.store",
        about=_ABOUT,
        settings=StoreSettings,
        commands=("migrate", "new-epoch"),
    )
    if status is not None:
        return status
    try:
        settings = load(StoreSettings, os.environ)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    configure_logging("store", level=settings.log_level, log_format=settings.log_format)
    warn_of_unknown(os.environ, prefix=PREFIX)
    if arguments:
        asyncio.run(_prepare(settings.postgres_dsn, new_epoch=arguments == ["new-epoch"]))
        return 0
    return run_service(lambda vitals: running_store(settings, vitals))


async def _prepare(dsn: str, *, new_epoch: bool) -> None:
    logger = structlog.get_logger()
    logger.info("schema is up to date", applied=await migrate(dsn))
    if new_epoch:
        async with open_database(dsn) as database:
            epoch = await PostgresReader(database).begin_new_epoch(None)
        logger.info("a new epoch has begun: running watches end", epoch=epoch)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

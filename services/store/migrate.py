"""Brings the database's schema up to date: numbered files, forward only, one at a time for all replicas."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

import asyncpg
import structlog

logger = structlog.get_logger()

# Any number that nothing else on the server uses: it keeps two replicas from migrating at once.
_LOCK = 0x63726573
_FILE_NAME = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.sql")
_BOOTSTRAP = """
CREATE SCHEMA IF NOT EXISTS crescendo;
CREATE TABLE IF NOT EXISTS crescendo.migrations (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered file."""

    version: int
    name: str
    sql: str


def load_migrations() -> list[Migration]:
    """Reads the migrations that come with this version, in order.

    Raises: ValueError: a file is named otherwise, or the numbers are not 1, 2, 3, ….
    """
    found: list[Migration] = []
    for file in resources.files("services.store.migrations").iterdir():
        if not file.name.endswith(".sql"):
            continue
        match = _FILE_NAME.fullmatch(file.name)
        if match is None:
            raise ValueError(f"migration {file.name!r} is not named NNNN_words.sql")
        found.append(
            Migration(
                version=int(match["version"]), name=match["name"], sql=file.read_text("utf-8")
            )
        )
    found.sort(key=lambda each: each.version)
    versions = [each.version for each in found]
    if versions != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations are numbered {versions}, not 1, 2, 3, …")
    return found


async def migrate(dsn: str) -> list[int]:
    """Applies the migrations that are missing, each in a transaction of its own.

    Waits for another process that migrates; a database newer than this version is left as it is,
    because migrations only ever add what older versions can live with.

    Returns: the versions that were applied.
    Raises: asyncpg.PostgresError or OSError: the database cannot be reached or refuses.
    """
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute(_BOOTSTRAP)
        rows = await connection.fetch("SELECT version FROM crescendo.migrations")
        applied = {row["version"] for row in rows}
        missing = [each for each in load_migrations() if each.version not in applied]
        for each in missing:
            async with connection.transaction():
                await connection.execute(each.sql)
                await connection.execute(
                    "INSERT INTO crescendo.migrations (version, name) VALUES ($1, $2)",
                    each.version,
                    each.name,
                )
            logger.info("migrated", version=each.version, name=each.name)
        return [each.version for each in missing]
    finally:
        # Ends the advisory lock too.
        await connection.close()

"""A real Postgres for tests and benchmarks: one that answers, else one out of a wheel."""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from services.embedded.postgres import embedded_postgres
from testbed.addresses import run_apart

DEFAULT_DSN = "postgresql://postgres@127.0.0.1:5432/postgres"
DSN_VARIABLE = "CRESCENDO_POSTGRES_DSN"
# Durability is not what tests of one process' lifetime need; speed is.
FORGETFUL = {"fsync": "off", "max_connections": "300"}
# What a production server does, at its price.
DURABLE = {"max_connections": "300"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A server on which databases can be created; `dsn` names its maintenance database."""

    dsn: str
    description: str


def find_postgres() -> PostgresServer | None:
    """Looks for a running Postgres: CRESCENDO_POSTGRES_DSN, else the default address."""
    given = os.environ.get(DSN_VARIABLE, "")
    for dsn, origin in ((given, DSN_VARIABLE), (DEFAULT_DSN, "127.0.0.1:5432")):
        if dsn and (version := run_apart(_version(dsn))):
            return PostgresServer(dsn=dsn, description=f"PostgreSQL {version} ({origin})")
    return None


@contextlib.contextmanager
def wheel_postgres(options: Mapping[str, str] = FORGETFUL) -> Iterator[PostgresServer]:
    """Starts a Postgres out of the wheel in a folder of its own, with settings of the server."""
    with tempfile.TemporaryDirectory(prefix="crescendo-pg-", ignore_cleanup_errors=True) as folder:
        # As root the server runs under another user, which must be able to walk down to its data.
        Path(folder).chmod(0o755)
        with embedded_postgres(Path(folder), options=options) as dsn:
            version = run_apart(_version(dsn))
            yield PostgresServer(dsn=dsn, description=f"PostgreSQL {version} (embedded wheel)")


@contextlib.contextmanager
def random_database(server: PostgresServer) -> Iterator[str]:
    """Creates a database with a random name and drops it afterwards; yields its DSN."""
    name = f"crescendo_test_{uuid.uuid4().hex[:16]}"
    run_apart(_execute(server.dsn, f'CREATE DATABASE "{name}"'))
    try:
        yield urlunsplit(urlsplit(server.dsn)._replace(path=f"/{name}"))
    finally:
        # FORCE ends the sessions of processes a test has killed or not yet closed.
        run_apart(_execute(server.dsn, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


async def _version(dsn: str) -> str | None:
    try:
        connection = await asyncpg.connect(dsn, timeout=15)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None
    try:
        version: str = await connection.fetchval("SHOW server_version")
        may_create: bool = await connection.fetchval(
            "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
        )
    finally:
        await connection.close()
    return version.partition(" ")[0] if may_create else None


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()

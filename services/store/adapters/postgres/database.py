"""Connections to Postgres: pools by purpose, limits on every statement, driver errors wrapped once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog
from asyncpg.exceptions._base import DataError as DriverDataError

from services.core.errors import FieldViolation, InvalidRequest, Unavailable

logger = structlog.get_logger()

# A statement that waits or runs this long is given up; the caller hears Unavailable and may retry.
SERVER_SETTINGS = {
    "application_name": "crescendo-store",
    "jit": "off",
    # Every statement here finds its rows by an index, a few at a time. Tables that grow from nothing to
    # thousands of rows before their first ANALYZE must not be joined by reading them whole.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
    "lock_timeout": "10s",
    "statement_timeout": "30s",
    # A store that freezes inside a transaction must not hold its locks for ever.
    "idle_in_transaction_session_timeout": "15s",
}
_COMMAND_SECONDS = 35.0
_ACQUIRE_SECONDS = 10.0

# Values that the driver or the database refuses; NUL characters have words of their own.
_REFUSED: tuple[type[Exception], ...] = (
    DriverDataError,
    asyncpg.NumericValueOutOfRangeError,
    asyncpg.DatetimeFieldOverflowError,
)
_UNREACHABLE: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # What the driver says of a connection whose server was killed under a statement.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    # Locks that were not to be had in time, and databases that accept nobody now.
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.TransactionRollbackError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    # A server that was demoted: another one takes writes now.
    asyncpg.ReadOnlySQLTransactionError,
)


@asynccontextmanager
async def wrapped_errors() -> AsyncIterator[None]:
    """Turns the driver's errors into ours; the text of a driver's error stays on this side."""
    try:
        yield
    except _REFUSED as error:
        # Before the others: the driver's own DataError is an InterfaceError, and repeating is no use.
        raise InvalidRequest(
            [FieldViolation(field="", description="a value is outside what can be stored")]
        ) from error
    except _UNREACHABLE as error:
        logger.warning("database call failed", error=type(error).__name__, detail=str(error)[:200])
        raise Unavailable(
            "the database cannot be reached or is too slow now; retry",
            reason="DATABASE_UNAVAILABLE",
            metadata={"error": type(error).__name__},
        ) from error
    except asyncpg.CharacterNotInRepertoireError as error:
        raise InvalidRequest(
            [FieldViolation(field="", description="text must not contain NUL characters")]
        ) from error


async def _keep_as_is(_connection: Any) -> None:
    """Resets nothing: no statement here leaves anything behind, and a reset is a round trip."""


async def _prepare(connection: Any) -> None:
    # Ids are text everywhere above, and parsed to UUIDs by the database only.
    await connection.set_type_codec(
        "uuid", schema="pg_catalog", encoder=str, decoder=str, format="text"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Pools by purpose, so that a flood of one kind of work leaves the others alone."""

    writes: Any
    reads: Any
    beats: Any
    transfers: Any

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Any]:
        """A connection inside a transaction that changes things; commits at a clean end."""
        async with (
            wrapped_errors(),
            self.writes.acquire(timeout=_ACQUIRE_SECONDS) as connection,
            connection.transaction(),
        ):
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Any]:
        """A connection for single statements that read."""
        async with wrapped_errors(), self.reads.acquire(timeout=_ACQUIRE_SECONDS) as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Any]:
        """A connection whose statements all see the same moment."""
        async with (
            wrapped_errors(),
            self.reads.acquire(timeout=_ACQUIRE_SECONDS) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[Any]:
        """A connection for sessions and leases, never behind other work."""
        async with wrapped_errors(), self.beats.acquire(timeout=_ACQUIRE_SECONDS) as connection:
            yield connection

    @asynccontextmanager
    async def transferring(self) -> AsyncIterator[Any]:
        """A connection for moving datasets; waits while a few others are moved."""
        async with wrapped_errors(), self.transfers.acquire(timeout=120) as connection:
            yield connection


@asynccontextmanager
async def open_database(dsn: str) -> AsyncIterator[Database]:
    """Opens the pools and closes them at the end.

    Raises: Unavailable: the database cannot be reached.
    """
    async with AsyncExitStack() as stack:

        async def pool(max_size: int, min_size: int = 1) -> Any:
            return await stack.enter_async_context(
                asyncpg.create_pool(
                    dsn,
                    min_size=min_size,
                    max_size=max_size,
                    timeout=_ACQUIRE_SECONDS,
                    command_timeout=_COMMAND_SECONDS,
                    server_settings=SERVER_SETTINGS,
                    target_session_attrs="read-write",
                    max_inactive_connection_lifetime=60,
                    init=_prepare,
                    reset=_keep_as_is,
                )
            )

        async with wrapped_errors():
            database = Database(
                writes=await pool(8),
                reads=await pool(4),
                beats=await pool(3),
                transfers=await pool(2, min_size=0),
            )
        yield database

"""Connections to Postgres: pools by purpose, limits on every statement, driver errors wrapped once."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog
from asyncpg.exceptions._base import DataError as DriverDataError

from services.core.errors import FieldViolation, InvalidRequest, Unavailable
from services.store.adapters import metrics
from services.store.adapters.postgres.history import History

logger = structlog.get_logger()

APPLICATION_NAME = "crescendo-store"
# A statement that waits or runs this long is given up; the caller hears Unavailable and may retry.
STATEMENT_SECONDS = 20.0

SERVER_SETTINGS = {
    "application_name": APPLICATION_NAME,
    "jit": "off",
    # Every statement here finds its rows by an index, a few at a time. Tables that grow from nothing to
    # thousands of rows before their first ANALYZE must not be joined by reading them whole.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
    "lock_timeout": "10s",
    "statement_timeout": f"{STATEMENT_SECONDS:g}s",
    # A store that freezes between the statements of a transaction must not hold its locks for ever; one
    # that freezes inside a statement is seen to by StuckSessions.
    "idle_in_transaction_session_timeout": "15s",
}
# A database that answers nothing is given up soon enough for half a minute in all.
_COMMAND_SECONDS = 25.0
_ACQUIRE_SECONDS = 10.0

# Values that the driver or the database refuses; NUL characters have words of their own.
_REFUSED: tuple[type[Exception], ...] = (
    DriverDataError,
    asyncpg.NumericValueOutOfRangeError,
    asyncpg.DatetimeFieldOverflowError,
    asyncpg.InvalidTextRepresentationError,
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
        raise _outside() from error
    except _UNREACHABLE as error:
        logger.warning(
            "database call failed",
            error=type(error).__name__,
            detail=str(error)[:200],
            limit_seconds=10,
        )
        raise Unavailable(
            "the database cannot be reached or is too slow now; retry",
            reason="DATABASE_UNAVAILABLE",
            metadata={"error": type(error).__name__},
        ) from error
    except asyncpg.CharacterNotInRepertoireError as error:
        raise InvalidRequest(
            [FieldViolation(field="", description="text must not contain NUL characters")]
        ) from error
    except asyncpg.DataError as error:
        # The driver says so itself of what it cannot encode, such as a number too large for its column;
        # of kinds of its own are the server's words about a statement, which are a fault of ours.
        if type(error) is not asyncpg.DataError:
            raise
        raise _outside() from error


def _outside() -> InvalidRequest:
    return InvalidRequest(
        [FieldViolation(field="", description="a value is outside what can be stored")]
    )


async def _keep_as_is(_connection: Any) -> None:
    """Resets nothing: no statement here leaves anything behind, and a reset is a round trip."""


async def prepare(connection: Any) -> None:
    """Sets up a connection: ids are text everywhere above, and parsed to UUIDs by the database only."""
    await connection.set_type_codec(
        "uuid", schema="pg_catalog", encoder=str, decoder=str, format="text"
    )


@asynccontextmanager
async def _taken(name: str, pool: Any, *, seconds: float = _ACQUIRE_SECONDS) -> AsyncIterator[Any]:
    began = time.perf_counter()
    async with pool.acquire(timeout=seconds) as connection:
        metrics.POOL_WAIT.labels(pool=name).observe(time.perf_counter() - began)
        yield connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Pools by purpose, so that a flood of one kind of work leaves the others alone."""

    writes: Any
    reads: Any
    watches: Any
    beats: Any
    transfers: Any
    history: History

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Any]:
        """A connection inside a transaction that changes things; commits at a clean end."""
        async with (
            wrapped_errors(),
            _taken("writes", self.writes) as connection,
            connection.transaction(),
        ):
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Any]:
        """A connection for single statements that read."""
        async with wrapped_errors(), _taken("reads", self.reads) as connection:
            yield connection

    @asynccontextmanager
    async def following(self) -> AsyncIterator[Any]:
        """A connection for reading event logs: thousands of watchers leave other reads alone."""
        async with wrapped_errors(), _taken("watches", self.watches) as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Any]:
        """A connection whose statements all see the same moment."""
        async with (
            wrapped_errors(),
            _taken("reads", self.reads) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[Any]:
        """A connection for sessions and leases, never behind other work."""
        async with wrapped_errors(), _taken("beats", self.beats) as connection:
            yield connection

    @asynccontextmanager
    async def transferring(self) -> AsyncIterator[Any]:
        """A connection for moving datasets; waits while a few others are moved."""
        async with wrapped_errors(), _taken("transfers", self.transfers, seconds=120) as connection:
            yield connection


@asynccontextmanager
async def open_database(dsn: str) -> AsyncIterator[Database]:
    """Opens the pools and closes them at the end.

    Raises: Unavailable: the database cannot be reached.
    """
    history = History()

    async def begin(connection: Any) -> None:
        await prepare(connection)
        # Before anything is read through it: a restored database may have lost what was seen before.
        await history.recognise(connection)

    async with AsyncExitStack() as stack:

        async def pool(name: str, max_size: int, min_size: int = 1) -> Any:
            opened = await stack.enter_async_context(
                asyncpg.create_pool(
                    dsn,
                    min_size=min_size,
                    max_size=max_size,
                    timeout=_ACQUIRE_SECONDS,
                    command_timeout=_COMMAND_SECONDS,
                    server_settings=SERVER_SETTINGS,
                    target_session_attrs="read-write",
                    max_inactive_connection_lifetime=60,
                    init=begin,
                    reset=_keep_as_is,
                )
            )
            metrics.measure_pool(name, opened)
            return opened

        async with wrapped_errors():
            database = Database(
                writes=await pool("writes", 8),
                reads=await pool("reads", 4),
                watches=await pool("watches", 3),
                beats=await pool("beats", 3),
                transfers=await pool("transfers", 2, min_size=0),
                history=history,
            )
        yield database

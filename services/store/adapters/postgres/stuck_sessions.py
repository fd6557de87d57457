"""Ends database sessions whose store stopped in the middle of a statement: their locks stop everybody else."""

from __future__ import annotations

import asyncio

import structlog

from services.core.errors import Unavailable
from services.store.adapters.postgres.database import (
    APPLICATION_NAME,
    STATEMENT_SECONDS,
    Database,
)
from services.store.adapters.postgres.queries import QUERIES

logger = structlog.get_logger()

_LOOK_SECONDS = 5.0


class StuckSessions:
    """Looks for sessions of stores that Postgres waits for in the middle of a statement.

    A frozen store's transaction ends by `idle_in_transaction_session_timeout`, unless the store froze
    between the messages of one statement (prepared and not yet executed, or half sent): Postgres then
    counts the session as active, and while it waits for its client no time limit of its own holds. Runs in
    every replica: any one that lives ends the sessions of one that does not.

    Args:
        patience_seconds: how long a session may be waited for; as long as a statement may take.
    """

    def __init__(self, database: Database, *, patience_seconds: float = STATEMENT_SECONDS) -> None:
        self._database = database
        self._patience_seconds = patience_seconds

    async def run(self) -> None:
        """Looks again and again for as long as it is not cancelled."""
        while True:
            try:
                await self.end()
            except Unavailable as error:
                logger.warning(
                    "cannot look for stuck sessions", reason=error.reason, limit_seconds=10
                )
            await asyncio.sleep(_LOOK_SECONDS)

    async def end(self) -> int:
        """Ends those that are stuck now. Returns: how many.

        Raises: Unavailable: the database is away.
        """
        # Reads wait for no lock: the pools that do may be full of what waits for these sessions.
        async with self._database.reading() as connection:
            found = await connection.fetch(
                QUERIES["end_stuck_sessions"], APPLICATION_NAME, self._patience_seconds
            )
        for row in found:
            logger.warning(
                "a store stopped in the middle of a statement; its database session was ended",
                backend_pid=row["pid"],
                client=row["client"],
                waited_seconds=round(row["waited"], 1),
            )
        return len(found)

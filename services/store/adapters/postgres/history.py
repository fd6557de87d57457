"""Recognises the database behind each new connection, and begins a new epoch where it is another one."""

from __future__ import annotations

from typing import Any

import asyncpg
import structlog

from services.store.adapters.postgres.queries import QUERIES
from services.store.service.history import (
    DatabaseIdentity,
    Observation,
    reasons_for_a_new_epoch,
)

logger = structlog.get_logger()

# A server that keeps these from us: managed ones do, and some that only speak its language.
_DENIED = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedFunctionError,
    asyncpg.FeatureNotSupportedError,
)
_ATTEMPTS = 5


class History:
    """What this process knows of the database's history.

    Every connection is recognised before anything is read through it. A restored or promoted server
    breaks all connections to the one before: none of its rows is read before its epoch is its own.
    """

    def __init__(self) -> None:
        self._epoch = ""
        self._flushed = 0
        self._denied: set[str] = set()

    @property
    def epoch(self) -> str:
        """The epoch the latest connection found."""
        return self._epoch

    async def recognise(self, connection: Any) -> None:
        """Looks at a connection outside of any transaction, before its first use."""
        for _ in range(_ATTEMPTS):
            known_epoch, known_flushed = self._epoch, self._flushed
            observation = await self._observe(connection)
            if observation is None:
                await connection.execute(QUERIES["make_history"])
                continue
            reasons = reasons_for_a_new_epoch(
                observation, known_epoch=known_epoch, known_flushed=known_flushed
            )
            identity = observation.found.filled_from(observation.stored)
            epoch = observation.epoch
            if reasons or identity != observation.stored:
                set_by_us = await connection.fetchval(
                    QUERIES["set_history"],
                    observation.epoch,
                    bool(reasons),
                    identity.system_identifier,
                    identity.timeline,
                    identity.database_oid,
                    identity.table_oid,
                )
                if set_by_us is None:
                    continue
                epoch = set_by_us
            if reasons:
                logger.warning(
                    "the database was restored or promoted and may have lost commits: watchers begin anew",
                    differs=reasons,
                    epoch=epoch,
                )
            self._adopt(epoch, observation.flushed)
            return

    def _adopt(self, epoch: str, flushed: int | None) -> None:
        if epoch != self._epoch:
            self._epoch, self._flushed = epoch, flushed or 0
        else:
            self._flushed = max(self._flushed, flushed or 0)

    async def _observe(self, connection: Any) -> Observation | None:
        position = await self._ask(connection, "wal_position")
        system = await self._ask(connection, "system_identifier")
        row = await connection.fetchrow(QUERIES["history"])
        if row is None:
            return None
        return Observation(
            epoch=row["epoch"],
            stored=DatabaseIdentity(
                system_identifier=row["system_identifier"],
                timeline=row["timeline"],
                database_oid=row["database_oid"],
                table_oid=row["table_oid"],
            ),
            found=DatabaseIdentity(
                system_identifier=None if system is None else system["system_identifier"],
                timeline=None if position is None else position["timeline"],
                database_oid=row["database_oid_now"],
                table_oid=row["table_oid_now"],
            ),
            flushed=None if position is None else position["flushed"],
        )

    async def _ask(self, connection: Any, query: str) -> Any:
        if query in self._denied:
            return None
        try:
            return await connection.fetchrow(QUERIES[query])
        except _DENIED as error:
            self._denied.add(query)
            logger.warning(
                "the database does not say this: after a restore, begin a new epoch by hand",
                query=query,
                error=type(error).__name__,
                command="python -m services.store new-epoch",
            )
            return None


async def renew_epoch(connection: Any, epoch: str | None) -> str | None:
    """Begins a new epoch, where `epoch` holds or in any case.

    Returns: the new epoch; None when another one than `epoch` holds already.
    """
    renewed: str | None = await connection.fetchval(QUERIES["renew_epoch"], epoch)
    return renewed

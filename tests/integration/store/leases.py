"""Leases of sessions as the database has them."""

from __future__ import annotations

from tests.integration.store.scenario import Scenario


async def expire(scenario: Scenario, session: str) -> None:
    """Lets a session's lease have ended a second ago."""
    async with scenario.database.writing() as connection:
        await connection.execute(
            "UPDATE crescendo.sessions SET lease_until = now() - interval '1 s'"
            " WHERE session_id = $1",
            session,
        )


async def lease_left(scenario: Scenario, session: str) -> float:
    """Seconds the lease still lasts."""
    async with scenario.database.reading() as connection:
        left: float = await connection.fetchval(
            "SELECT extract(epoch FROM lease_until - now())::float8"
            " FROM crescendo.sessions WHERE session_id = $1",
            session,
        )
    return left


async def is_open(scenario: Scenario, session: str) -> bool:
    """Whether a session has not ended."""
    async with scenario.database.reading() as connection:
        open_: bool = await connection.fetchval(
            "SELECT ended_at IS NULL FROM crescendo.sessions WHERE session_id = $1", session
        )
    return open_

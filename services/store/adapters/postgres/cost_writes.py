"""What attempts of a locked orchestration cost, in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.store.adapters.postgres import rows
from services.store.adapters.postgres.queries import QUERIES
from services.store.ports.records import AttemptCost


class PostgresCostWrites:
    """The part of a transaction that is about costs; the port says what each method promises."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def insert_attempt_costs(
        self,
        orchestration_id: str,
        attempts: Sequence[tuple[int, int]],
        *,
        started_at: datetime,
        reserved: float,
    ) -> int:
        """Notes that attempts start."""
        inserted = await self._connection.fetch(
            QUERIES["insert_attempt_costs"],
            orchestration_id,
            started_at,
            reserved,
            [number for number, _ in attempts],
            [attempt for _, attempt in attempts],
        )
        return len(inserted)

    async def read_attempt_costs(
        self, orchestration_id: str, attempts: Sequence[tuple[int, int]]
    ) -> list[AttemptCost]:
        """Gives the costs of attempts that are not settled."""
        found = await self._connection.fetch(
            QUERIES["read_attempt_costs"],
            orchestration_id,
            [number for number, _ in attempts],
            [attempt for _, attempt in attempts],
        )
        return [rows.attempt_cost(row) for row in found]

    async def read_expired_costs(self, orchestration_id: str) -> list[AttemptCost]:
        """Gives the costs of attempts that left and whose finish is not waited for any more."""
        found = await self._connection.fetch(QUERIES["read_expired_costs"], orchestration_id)
        return [rows.attempt_cost(row) for row in found]

    async def save_attempt_costs(self, orchestration_id: str, costs: Sequence[AttemptCost]) -> None:
        """Writes what changed about attempts that were not settled."""
        await self._connection.execute(
            QUERIES["save_attempt_costs"],
            orchestration_id,
            [each.number for each in costs],
            [each.attempt for each in costs],
            [each.charged for each in costs],
            [each.left_at for each in costs],
            [each.expires_at for each in costs],
            [each.settled for each in costs],
        )

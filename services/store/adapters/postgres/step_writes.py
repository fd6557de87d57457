"""What trials of a locked orchestration came to after each step, in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from services.common.convert.pruning import decision_from_proto, decision_to_proto
from services.common.convert.trials import scores_from_proto, splits_from_proto
from services.core.pruning import PruneDecision
from services.core.statistics import mean_score
from services.core.step_judging import Incumbent, StepStanding
from services.store.adapters.postgres.queries import QUERIES
from services.store.ports.records import TrialStep
from tuning.v1 import trial_pb2


class PostgresStepWrites:
    """The part of a transaction that is about steps; the port says what each method promises."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def read_steps(
        self, orchestration_id: str, attempts: Sequence[tuple[int, int]]
    ) -> list[TrialStep]:
        """Gives all that is known of the steps of attempts."""
        found = await self._connection.fetch(
            QUERIES["read_steps"], orchestration_id, *_columns(attempts)
        )
        return [
            TrialStep(
                tuning_run_id=row["tuning_run_id"],
                number=row["number"],
                attempt=row["attempt"],
                step=row["step"],
                standing=_standing(row),
                decision=_decision(row["decision_proto"], stops=row["stops"]),
            )
            for row in found
        ]

    async def read_standings(
        self, tuning_run_id: str, steps: Sequence[int]
    ) -> dict[int, dict[int, StepStanding]]:
        """Gives where the trials of a tuning run stood, by step and number."""
        found = await self._connection.fetch(QUERIES["read_standings"], tuning_run_id, list(steps))
        standings: dict[int, dict[int, StepStanding]] = {each: {} for each in steps}
        for row in found:
            standings[row["step"]][row["number"]] = _standing(row)
        return standings

    async def read_stops(
        self, orchestration_id: str, attempts: Sequence[tuple[int, int]]
    ) -> dict[int, PruneDecision]:
        """Gives the first decision to stop of each of those attempts that has one."""
        found = await self._connection.fetch(
            QUERIES["read_stops"], orchestration_id, *_columns(attempts)
        )
        stops = {row["number"]: _decision(row["decision_proto"], stops=True) for row in found}
        return {number: stop for number, stop in stops.items() if stop is not None}

    async def read_incumbent(self, orchestration_id: str, number: int) -> Incumbent | None:
        """Gives a complete trial as others run against it."""
        encoded = await self._connection.fetchval(
            QUERIES["read_split_scores"], orchestration_id, number
        )
        known = trial_pb2.Trial.FromString(encoded or b"")
        scores, splits = scores_from_proto(known.metrics), splits_from_proto(known.splits)
        if not scores or not splits:
            return None
        return Incumbent(
            scores=scores[0].scores,
            test_share=mean_score([each.test_rows / each.train_rows for each in splits]),
        )

    async def insert_steps(self, orchestration_id: str, steps: Sequence[TrialStep]) -> None:
        """Adds steps; those that are there stay as they are."""
        decisions = [decision_to_proto(each.decision) for each in steps]
        await self._connection.execute(
            QUERIES["insert_steps"],
            orchestration_id,
            [each.tuning_run_id for each in steps],
            [each.number for each in steps],
            [each.attempt for each in steps],
            [each.step for each in steps],
            [each.standing.value for each in steps],
            [each.standing.mean for each in steps],
            [each.standing.best for each in steps],
            [None if each is None else each.SerializeToString() for each in decisions],
            [each.decision is not None and each.decision.stop for each in steps],
        )


def _columns(attempts: Sequence[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [number for number, _ in attempts], [attempt for _, attempt in attempts]


def _standing(row: Any) -> StepStanding:
    return StepStanding(value=row["value"], mean=row["mean"], best=row["best"])


def _decision(encoded: bytes | None, *, stops: bool) -> PruneDecision | None:
    if encoded is None:
        return None
    decision = decision_from_proto(trial_pb2.PruneDecision.FromString(encoded))
    return None if decision is None else replace(decision, stop=stops)

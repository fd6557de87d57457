"""Changing the trials of a locked orchestration, in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.common.convert.values import assignment_from_proto
from services.core.space import Assignment
from services.store.adapters.postgres import rows
from services.store.adapters.postgres.queries import QUERIES
from services.store.ports.records import (
    FinishedTrial,
    TrialEnd,
    TrialInsert,
    TrialRecord,
    TrialRequeue,
)
from services.store.ports.workforce_records import SessionRecord
from services.store.service.identifiers import canonical_id
from tuning.v1 import search_space_pb2


class PostgresTrialWrites:
    """The part of a transaction that is about trials; the port says what each method promises."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def lock_trials(self, orchestration_id: str, numbers: Sequence[int]) -> list[TrialRecord]:
        """Locks trials, by number."""
        found = await self._connection.fetch(
            QUERIES["lock_trials"], orchestration_id, list(numbers)
        )
        return [rows.trial_record(row) for row in found]

    async def lock_open_trials(self, tuning_run_ids: Sequence[str]) -> list[TrialRecord]:
        """Locks all queued and running trials of tuning runs, by number."""
        found = await self._connection.fetch(QUERIES["lock_open_trials"], list(tuning_run_ids))
        return [rows.trial_record(row) for row in found]

    async def insert_trials(
        self,
        orchestration_id: str,
        *,
        tuning_run_id: str,
        stage_index: int,
        trials: Sequence[TrialInsert],
    ) -> None:
        """Creates queued trials."""
        await self._connection.execute(
            QUERIES["insert_trials"],
            orchestration_id,
            tuning_run_id,
            stage_index,
            [each.number for each in trials],
            [each.parameters for each in trials],
            [each.candidate_index for each in trials],
            [each.phase for each in trials],
            [each.suggestion_index for each in trials],
            [each.suggested_at_sequence for each in trials],
            [each.copied_from for each in trials],
        )

    async def read_finished(self, orchestration_id: str, number: int) -> FinishedTrial | None:
        """Gives the result of a SUCCEEDED trial."""
        row = await self._connection.fetchrow(QUERIES["read_finished"], orchestration_id, number)
        return None if row is None else rows.finished_trial(row)

    async def find_number(self, tuning_run_id: str, suggestion_index: int) -> int | None:
        """Gives the number of the trial made from a suggestion."""
        found: int | None = await self._connection.fetchval(
            QUERIES["find_number"], tuning_run_id, suggestion_index
        )
        return found

    async def start_trials(
        self,
        orchestration_id: str,
        numbers: Sequence[int],
        *,
        session: SessionRecord,
        claim_id: str,
    ) -> None:
        """Makes queued trials RUNNING under a session."""
        await self._connection.execute(
            QUERIES["start_trials"],
            orchestration_id,
            list(numbers),
            session.session_id,
            canonical_id("claim", claim_id),
            session.worker_name,
        )

    async def clear_dispatch(self, orchestration_id: str, numbers: Sequence[int] | None) -> None:
        """Makes queued trials available to the next hand-out."""
        if numbers is None:
            await self._connection.execute(QUERIES["clear_all_dispatch"], orchestration_id)
        else:
            await self._connection.execute(
                QUERIES["clear_dispatch"], orchestration_id, list(numbers)
            )

    async def delay_trials(
        self, orchestration_id: str, numbers: Sequence[int], seconds: float
    ) -> None:
        """Makes queued trials available to hand-outs after so many seconds."""
        await self._connection.execute(
            QUERIES["delay_trials"], orchestration_id, list(numbers), seconds
        )

    async def end_trials(self, orchestration_id: str, ends: Sequence[TrialEnd]) -> None:
        """Gives trials their terminal states."""
        await self._connection.execute(
            QUERIES["end_trials"],
            orchestration_id,
            [each.number for each in ends],
            [each.state.value for each in ends],
            [each.finished_attempt for each in ends],
            [each.score for each in ends],
            [rows.encoded_scores(each) for each in ends],
            [each.failure.kind.value if each.failure else None for each in ends],
            [each.failure.message if each.failure else None for each in ends],
            [each.fit_seconds for each in ends],
            [each.score_seconds for each in ends],
            [each.duration_seconds for each in ends],
            [each.stop_requested for each in ends],
        )

    async def requeue_trials(self, orchestration_id: str, requeues: Sequence[TrialRequeue]) -> None:
        """Makes running trials QUEUED again under a new attempt."""
        await self._connection.execute(
            QUERIES["requeue_trials"],
            orchestration_id,
            [each.number for each in requeues],
            [each.attempt for each in requeues],
            [each.lost_strikes for each in requeues],
            [each.crash_strikes for each in requeues],
            [each.oom_strikes for each in requeues],
            [each.infra_failures for each in requeues],
            [each.infra_since for each in requeues],
            [each.crash_worker for each in requeues],
            [each.not_before for each in requeues],
        )

    async def set_reported_splits(
        self, orchestration_id: str, splits: Sequence[tuple[int, int]]
    ) -> None:
        """Records (number, splits reported) of running trials."""
        await self._connection.execute(
            QUERIES["set_reported_splits"],
            orchestration_id,
            [number for number, _ in splits],
            [count for _, count in splits],
        )

    async def read_parameters(self, orchestration_id: str, number: int) -> Assignment:
        """Gives the assignment of one trial, decoded."""
        encoded: bytes = await self._connection.fetchval(
            QUERIES["read_parameters"], orchestration_id, number
        )
        return assignment_from_proto(search_space_pb2.Assignment.FromString(encoded))

    async def most_frequent_failure(self, tuning_run_id: str) -> str:
        """Gives the failure message most of the tuning run's failed trials have."""
        found: str | None = await self._connection.fetchval(
            QUERIES["most_frequent_failure"], tuning_run_id
        )
        return found or ""

"""What is read, from Postgres."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from services.common.convert.objectives import evaluation_from_proto
from services.common.convert.spaces import refinement_from_proto
from services.core.history import ScoredTrial
from services.core.plan import LifecycleState, RequestKey
from services.core.refinement import Refinement
from services.core.run import Orchestration, TuningRun
from services.core.trial import Trial, TrialState
from services.store.adapters.postgres import rows
from services.store.adapters.postgres.database import Database
from services.store.adapters.postgres.history import renew_epoch
from services.store.adapters.postgres.queries import QUERIES
from services.store.ports.results import (
    LogPage,
    LogPosition,
    LogPositions,
    OrchestrationSnapshot,
    Pace,
    RunEvaluation,
    StoredEvent,
    TrialFilter,
)
from services.store.ports.transaction import EarlierRequest
from tuning.v1 import event_pb2, objective_pb2, search_space_pb2


class PostgresReader:
    """Reads orchestrations, trials and events; the ports say what each method promises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_request(self, tenant: str, key: RequestKey) -> EarlierRequest | None:
        """Gives what a request id was used for."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(
                QUERIES["find_request"], tenant, key.rpc, key.request_id
            )
        if row is None:
            return None
        return EarlierRequest(body_hash=row["body_hash"], resource_id=row["resource_id"])

    async def orchestration(self, orchestration_id: str) -> Orchestration | None:
        """Gives an orchestration with its stages and tuning runs."""
        async with self._database.snapshot() as connection:
            return await self._orchestration(connection, orchestration_id)

    async def _orchestration(self, connection: Any, orchestration_id: str) -> Orchestration | None:
        row = await connection.fetchrow(QUERIES["orchestration"], orchestration_id)
        if row is None:
            return None
        stages = await connection.fetch(QUERIES["stages"], orchestration_id)
        found = await connection.fetch(QUERIES["tuning_runs"], orchestration_id)
        runs = [rows.tuning_run_of(each) for each in found]
        return rows.orchestration_of(
            row,
            [
                rows.stage_of(
                    stage,
                    [each for each in runs if each.stage_index == stage["stage_index"]],
                    row["observed_at"],
                )
                for stage in stages
            ],
        )

    async def orchestrations(
        self,
        tenant: str,
        *,
        states: Sequence[LifecycleState],
        study_name: str,
        before: tuple[datetime, str] | None,
        limit: int,
    ) -> Sequence[Orchestration]:
        """Lists orchestrations without stages, newest first."""
        created_at, identifier = before or (None, None)
        async with self._database.reading() as connection:
            found = await connection.fetch(
                QUERIES["orchestrations"],
                tenant,
                [each.value for each in states] or None,
                study_name,
                created_at,
                identifier,
                limit,
            )
        return [rows.orchestration_of(row, ()) for row in found]

    async def tuning_run(self, tuning_run_id: str) -> TuningRun | None:
        """Gives a tuning run."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(QUERIES["tuning_run"], tuning_run_id)
        return None if row is None else rows.tuning_run_of(row)

    async def evaluation(self, tuning_run_id: str) -> RunEvaluation | None:
        """Gives what a tuning run's trials compute."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(QUERIES["evaluation"], tuning_run_id)
        if row is None:
            return None
        spec = objective_pb2.EvaluationSpec.FromString(row["evaluation_proto"])
        return RunEvaluation(evaluation=evaluation_from_proto(spec), pruning=rows.pruning_of(row))

    async def trial(self, orchestration_id: str, number: int) -> Trial | None:
        """Gives one trial."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(QUERIES["trial"], orchestration_id, number)
        return None if row is None else rows.trial_of(row)

    async def trials_by_number(
        self, wanted: TrialFilter, *, after: int, limit: int
    ) -> Sequence[Trial]:
        """Lists trials by number."""
        states = _states(wanted.states)
        async with self._database.reading() as connection:
            if wanted.tuning_run_id is None:
                found = await connection.fetch(
                    QUERIES["trials_by_number"],
                    wanted.orchestration_id,
                    after,
                    states,
                    wanted.min_score,
                    limit,
                )
            else:
                found = await connection.fetch(
                    QUERIES["trials_of_run_by_number"],
                    wanted.tuning_run_id,
                    after,
                    states,
                    wanted.min_score,
                    limit,
                    wanted.orchestration_id,
                )
        return [rows.trial_of(row) for row in found]

    async def trials_by_score(
        self,
        wanted: TrialFilter,
        *,
        after: tuple[float, int, int, int] | None,
        limit: int,
    ) -> Sequence[Trial]:
        """Lists trials with a score, best first."""
        score, stage, candidate, number = after or (math.inf, -1, -1, -1)
        async with self._database.reading() as connection:
            found = await connection.fetch(
                QUERIES["trials_by_score"],
                wanted.orchestration_id,
                score,
                stage,
                candidate,
                number,
                wanted.tuning_run_id,
                _states(wanted.states),
                wanted.min_score,
                limit,
            )
        return [rows.trial_of(row) for row in found]

    async def trials_without_score(
        self, wanted: TrialFilter, *, after: int, limit: int
    ) -> Sequence[Trial]:
        """Lists trials without a score, by number."""
        async with self._database.reading() as connection:
            found = await connection.fetch(
                QUERIES["trials_without_score"],
                wanted.orchestration_id,
                after,
                wanted.tuning_run_id,
                _states(wanted.states),
                limit,
            )
        return [rows.trial_of(row) for row in found]

    async def refinements(self, orchestration_id: str) -> Sequence[Refinement]:
        """Lists refinements in the order they were made."""
        async with self._database.reading() as connection:
            found = await connection.fetch(QUERIES["refinements"], orchestration_id)
        return [
            refinement_from_proto(search_space_pb2.Refinement.FromString(row["refinement_proto"]))
            for row in found
        ]

    async def scored_trials(self, orchestration_id: str) -> Mapping[str, Sequence[ScoredTrial]]:
        """Gives the trials with a score by tuning run, in the order they ended."""
        async with self._database.reading() as connection:
            found = await connection.fetch(QUERIES["scored_trials"], orchestration_id)
        by_run: dict[str, list[ScoredTrial]] = {}
        for row in found:
            by_run.setdefault(row["tuning_run_id"], []).append(
                ScoredTrial(
                    number=row["number"], score=row["score"], finished_at=row["finished_at"]
                )
            )
        return by_run

    async def pace(self, orchestration_id: str) -> Pace:
        """Gives how fast an orchestration's trials can run."""
        async with self._database.reading() as connection:
            slots = await connection.fetchval(QUERIES["live_slots"])
            means = await connection.fetch(QUERIES["mean_durations"], orchestration_id)
        return Pace(
            slots=slots,
            mean_durations={row["tuning_run_id"]: row["mean_duration"] for row in means},
        )

    async def exists(self, orchestration_id: str) -> bool:
        """Whether there is such an orchestration."""
        async with self._database.reading() as connection:
            found: bool = await connection.fetchval(
                QUERIES["orchestration_exists"], orchestration_id
            )
        return found

    async def orchestration_of(self, tuning_run_id: str) -> str | None:
        """Gives the orchestration a tuning run belongs to."""
        async with self._database.reading() as connection:
            found: str | None = await connection.fetchval(
                QUERIES["orchestration_of"], tuning_run_id
            )
        return found

    async def positions(self, orchestration_ids: Sequence[str]) -> LogPositions:
        """Says where logs stand."""
        async with self._database.following() as connection:
            found = await self._positions(connection, orchestration_ids)
            if not found or not found[0]["recognised"]:
                # Restored under our feet, while our connections stayed.
                await self._database.history.recognise(connection)
                found = await self._positions(connection, orchestration_ids)
        return LogPositions(
            epoch=found[0]["epoch"],
            observed_at=found[0]["observed_at"],
            logs={
                row["orchestration_id"]: LogPosition(
                    first_sequence=row["first_sequence"],
                    last_sequence=row["last_sequence"],
                    ended=row["ended"],
                )
                for row in found
                if row["orchestration_id"] is not None
            },
        )

    async def _positions(self, connection: Any, orchestration_ids: Sequence[str]) -> Sequence[Any]:
        found: Sequence[Any] = await connection.fetch(
            QUERIES["log_positions"], list(orchestration_ids)
        )
        return found

    async def snapshot(self, orchestration_id: str) -> OrchestrationSnapshot | None:
        """Gives what a watch starts from."""
        async with self._database.snapshot() as connection:
            (log,) = await self._positions(connection, [orchestration_id])
            orchestration = await self._orchestration(connection, orchestration_id)
        if orchestration is None:
            return None
        return OrchestrationSnapshot(
            orchestration=orchestration, epoch=log["epoch"], observed_at=log["observed_at"]
        )

    async def events(
        self, orchestration_id: str, *, after: int, max_events: int, max_bytes: int
    ) -> LogPage:
        """Gives the next events after a sequence number."""
        async with self._database.following() as connection:
            found = await connection.fetch(QUERIES["events"], orchestration_id, after, max_events)
        events: list[StoredEvent] = []
        size = 0
        for row in found:
            if row["sequence"] is None:
                break
            event = _stored_event(orchestration_id, row)
            size += len(event.encoded)
            if events and size > max_bytes:
                break
            events.append(event)
        return LogPage(epoch=found[0]["epoch"] if found else None, events=tuple(events))

    async def begin_new_epoch(self, epoch: str | None) -> str | None:
        """Begins a new epoch."""
        async with self._database.following() as connection:
            return await renew_epoch(connection, epoch)


def _stored_event(orchestration_id: str, row: Any) -> StoredEvent:
    occurred_at = Timestamp()
    occurred_at.FromDatetime(row["occurred_at"])
    head = event_pb2.Event(
        orchestration_id=orchestration_id, sequence=row["sequence"], occurred_at=occurred_at
    )
    # Two encoded messages one after the other are their merge: the payload need not be decoded.
    return StoredEvent(
        sequence=row["sequence"],
        occurred_at=row["occurred_at"],
        encoded=head.SerializeToString() + row["payload_proto"],
    )


def _states(states: Sequence[TrialState]) -> list[str] | None:
    return [each.value for each in states] or None

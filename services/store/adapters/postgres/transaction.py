"""One transaction on orchestrations, in Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg

from services.common.convert.events import payload_to_proto
from services.common.convert.objectives import evaluation_to_proto
from services.common.convert.pruning import pruning_to_proto
from services.common.convert.spaces import refinement_to_proto, space_to_proto
from services.common.convert.start_points import start_points_to_proto
from services.core.event import Payload
from services.core.plan import Plan, RequestKey, StagePlan
from services.core.pruning_settings import Pruning
from services.core.refinement import Refinement
from services.core.space import SearchSpace
from services.store.adapters import metrics
from services.store.adapters.postgres import rows
from services.store.adapters.postgres.cost_writes import PostgresCostWrites
from services.store.adapters.postgres.database import Database
from services.store.adapters.postgres.queries import QUERIES
from services.store.adapters.postgres.step_writes import PostgresStepWrites
from services.store.adapters.postgres.trial_writes import PostgresTrialWrites
from services.store.ports.records import OrchestrationRecord, StageRecord, TuningRunRecord
from services.store.ports.transaction import EarlierRequest, Study, Transaction
from services.store.ports.workforce_records import SessionRecord
from services.store.service.identifiers import canonical_id, not_found


class PostgresStorage:
    """Where orchestrations are kept."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # A tuning run never moves to another orchestration.
        self._orchestrations: dict[str, str] = {}

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Opens a transaction: see the port."""
        async with self._database.writing() as connection:
            transaction = PostgresTransaction(connection)
            yield transaction
        metrics.count_committed(transaction.appended)

    async def orchestration_of(self, tuning_run_id: str) -> str | None:
        """Gives the orchestration a tuning run belongs to; None if unknown."""
        if tuning_run_id in self._orchestrations:
            return self._orchestrations[tuning_run_id]
        async with self._database.reading() as connection:
            found: str | None = await connection.fetchval(
                QUERIES["orchestration_of"], tuning_run_id
            )
        if found is not None:
            if len(self._orchestrations) >= 10_000:
                self._orchestrations.clear()
            self._orchestrations[tuning_run_id] = found
        return found


async def reserve_request(
    connection: Any, tenant: str, key: RequestKey, resource_id: str
) -> EarlierRequest | None:
    """Takes a request id for a resource. Returns: None, or what it was used for."""
    taken = await connection.fetchval(
        QUERIES["reserve_request"], tenant, key.rpc, key.request_id, key.body_hash, resource_id
    )
    if taken is not None:
        return None
    row = await connection.fetchrow(QUERIES["find_request"], tenant, key.rpc, key.request_id)
    return EarlierRequest(body_hash=row["body_hash"], resource_id=row["resource_id"])


class PostgresTransaction(PostgresTrialWrites, PostgresCostWrites, PostgresStepWrites):
    """An open transaction; the port says what each method promises.

    Attributes:
        appended: what happened in it, told to metrics once it is committed.
    """

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.appended: list[Payload] = []

    async def reserve_request(
        self, tenant: str, key: RequestKey, *, resource_id: str
    ) -> EarlierRequest | None:
        """Takes a request id for a resource."""
        return await reserve_request(self._connection, tenant, key, resource_id)

    async def redirect_request(self, tenant: str, key: RequestKey, *, resource_id: str) -> None:
        """Lets a request id name another resource."""
        await self._connection.execute(
            QUERIES["redirect_request"], tenant, key.rpc, key.request_id, resource_id
        )

    async def insert_plan(
        self,
        plan: Plan,
        *,
        tenant: str,
        orchestration_id: str,
        tuning_run_ids: Sequence[Sequence[str]],
        spec_hash: bytes,
        request_id: str,
    ) -> Study | None:
        """Inserts an orchestration, its stages and tuning runs, all PENDING."""
        inserted = await self._connection.fetchval(
            QUERIES["insert_orchestration"],
            orchestration_id,
            tenant,
            plan.workflow,
            plan.study_name,
            spec_hash,
            plan.scoring_metric,
            plan.cv_folds,
            plan.random_state,
            plan.max_concurrent_trials,
            plan.priority,
            plan.worker_class,
            *rows.limits(plan.budget),
            request_id,
            rows.encoded_rules(plan.stopping),
            rows.encoded_selection(plan.selection),
        )
        if inserted is None:
            row = await self._connection.fetchrow(QUERIES["find_study"], tenant, plan.study_name)
            return Study(orchestration_id=row["orchestration_id"], spec_hash=row["spec_hash"])
        for index, (stage, ids) in enumerate(zip(plan.stages, tuning_run_ids, strict=True)):
            await self._connection.execute(
                QUERIES["insert_stage"],
                orchestration_id,
                index,
                stage.method,
                stage.max_active_tuning_runs,
                stage.refinement_factor,
                rows.encoded_stage(stage),
            )
            try:
                await self._connection.executemany(
                    QUERIES["insert_tuning_run"],
                    _tuning_runs(
                        orchestration_id, index, stage, ids, worker_class=plan.worker_class
                    ),
                )
            except asyncpg.ForeignKeyViolationError as error:
                raise not_found("model run", _missing_key(error)) from error
        return None

    async def knows_session(self, session_id: str) -> bool:
        """Says whether there is a session with this id, open or ended."""
        known: bool = await self._connection.fetchval(QUERIES["session_exists"], session_id)
        return known

    async def keep_session(self, session_id: str) -> SessionRecord | None:
        """Reads a session and keeps it from ending."""
        row = await self._connection.fetchrow(QUERIES["keep_session"], session_id)
        if row is None:
            return None
        return SessionRecord(
            session_id=row["session_id"],
            worker_class=row["worker_class"],
            worker_name=row["worker_name"],
            slots=row["slots"],
            ended=row["ended"],
        )

    async def has_other_workers(self, session: SessionRecord) -> bool:
        """Says whether another worker of the session's class lives."""
        found: bool = await self._connection.fetchval(
            QUERIES["has_other_workers"], session.worker_class, session.worker_name
        )
        return found

    async def lock_orchestration(self, orchestration_id: str) -> OrchestrationRecord | None:
        """Locks an orchestration."""
        row = await self._connection.fetchrow(QUERIES["lock_orchestration"], orchestration_id)
        return None if row is None else rows.orchestration_record(row)

    async def lock_stages(self, orchestration_id: str) -> list[StageRecord]:
        """Reads the stages of a locked orchestration."""
        found = await self._connection.fetch(QUERIES["read_stages"], orchestration_id)
        return [rows.stage_record(row) for row in found]

    async def lock_tuning_runs(
        self, orchestration_id: str, tuning_run_ids: Sequence[str] | None
    ) -> list[TuningRunRecord]:
        """Locks tuning runs by id."""
        if tuning_run_ids is None:
            found = await self._connection.fetch(QUERIES["lock_all_tuning_runs"], orchestration_id)
        else:
            found = await self._connection.fetch(
                QUERIES["lock_tuning_runs"], orchestration_id, list(tuning_run_ids)
            )
        return [rows.tuning_run_record(row) for row in found]

    async def lock_tuning_runs_of_trials(
        self, orchestration_id: str, numbers: Sequence[int]
    ) -> list[TuningRunRecord]:
        """Locks the tuning runs that trials belong to."""
        found = await self._connection.fetch(
            QUERIES["lock_tuning_runs_of_trials"], orchestration_id, list(numbers)
        )
        return [rows.tuning_run_record(row) for row in found]

    async def save_orchestration(self, record: OrchestrationRecord) -> None:
        """Writes what can change of an orchestration."""
        best = record.best
        await self._connection.execute(
            QUERIES["save_orchestration"],
            record.orchestration_id,
            record.state.value,
            record.reason,
            record.message,
            record.last_sequence,
            record.next_trial_number,
            record.refinement_count,
            *rows.counters(record.counts),
            None if best is None else best.number,
            None if best is None else best.tuning_run_id,
            None if best is None else best.score,
            None if best is None else list(best.rank),
            record.started_at,
            record.ended_at,
        )

    async def save_budget(self, record: OrchestrationRecord) -> None:
        """Writes limits, what was used of them, and what else changes rarely."""
        await self._connection.execute(
            QUERIES["save_budget"],
            record.orchestration_id,
            record.budget.max_trials,
            record.budget.max_failed_trials,
            record.budget.max_seconds,
            record.budget.max_cost,
            record.active_seconds,
            record.active_since,
            record.deadline_at,
            record.cost,
            record.reserved_attempts,
            record.workers_missing,
            record.trend.reference,
            record.trend.flat_trials,
            record.copied,
        )

    async def save_stages(self, orchestration_id: str, records: Sequence[StageRecord]) -> None:
        """Writes what can change of stages."""
        await self._connection.executemany(
            QUERIES["save_stage"],
            [
                (
                    orchestration_id,
                    each.index,
                    each.state.value,
                    each.reason,
                    each.message,
                    each.started_at,
                    each.ended_at,
                )
                for each in records
            ],
        )

    async def save_tuning_runs(self, records: Sequence[TuningRunRecord]) -> None:
        """Writes what can change of tuning runs."""
        arguments = [_saved_run(each) for each in records]
        if len(arguments) == 1:
            await self._connection.execute(QUERIES["save_tuning_run"], *arguments[0])
        else:
            await self._connection.executemany(QUERIES["save_tuning_run"], arguments)

    async def set_space(
        self, tuning_run_id: str, *, space: SearchSpace, total_combinations: int | None
    ) -> None:
        """Replaces the space a tuning run searches."""
        await self._connection.execute(
            QUERIES["set_space"],
            tuning_run_id,
            space_to_proto(space).SerializeToString(),
            total_combinations,
        )

    async def insert_refinement(self, refinement: Refinement) -> None:
        """Stores a refinement under its id."""
        await self._connection.execute(
            QUERIES["insert_refinement"],
            refinement.orchestration_id,
            refinement.refinement_id,
            refinement_to_proto(refinement).SerializeToString(),
        )

    async def append_events(
        self,
        orchestration_id: str,
        *,
        first_sequence: int,
        payloads: Sequence[Payload],
        occurred_at: datetime,
        request_id: str,
    ) -> None:
        """Appends events numbered from `first_sequence` on."""
        await self._connection.execute(
            QUERIES["append_events"],
            orchestration_id,
            first_sequence,
            occurred_at,
            [_stored_event(each, request_id) for each in payloads],
        )
        self.appended += payloads


def _stored_event(payload: Payload, request_id: str) -> bytes:
    """Encodes what is stored of an event; its other fields are columns."""
    message = payload_to_proto(payload)
    message.request_id = request_id
    encoded: bytes = message.SerializeToString()
    return encoded


def _saved_run(record: TuningRunRecord) -> tuple[Any, ...]:
    best = record.best
    return (
        record.tuning_run_id,
        record.state.value,
        record.reason,
        record.message,
        record.method_used,
        *rows.counters(record.counts),
        record.created,
        None if best is None else best.number,
        None if best is None else best.score,
        None if best is None else list(best.rank),
        record.last_end_sequence,
        record.measured_trials,
        record.mean_duration,
        record.started_at,
        record.ended_at,
        record.trial_budget,
        record.trend.reference,
        record.trend.flat_trials,
        record.stop_reason,
        *rows.leader_columns(record.leaders),
        record.fits_saved,
    )


def _tuning_runs(
    orchestration_id: str,
    stage_index: int,
    stage: StagePlan,
    ids: Sequence[str],
    *,
    worker_class: str,
) -> list[tuple[Any, ...]]:
    return [
        (
            tuning_run_id,
            orchestration_id,
            stage_index,
            position,
            canonical_id("model run", run.model_run_id),
            run.model_type,
            stage.method,
            space_to_proto(run.space).SerializeToString(),
            evaluation_to_proto(run.evaluation).SerializeToString(),
            list(run.evaluation.metrics),
            run.evaluation.cv_folds,
            run.evaluation.random_state,
            run.trial_budget,
            run.total_combinations,
            run.planned_trials,
            worker_class,
            rows.encoded_rules(run.stopping),
            _encoded_pruning(run.pruning),
            start_points_to_proto(run.start).SerializeToString() if len(run.start) else None,
        )
        for position, (run, tuning_run_id) in enumerate(zip(stage.tuning_runs, ids, strict=True))
    ]


def _encoded_pruning(pruning: Pruning | None) -> bytes | None:
    message = pruning_to_proto(pruning)
    return None if message is None else message.SerializeToString()


def _missing_key(error: Any) -> str:
    """Takes the id out of `Key (model_run_id)=(…) is not present in table …`."""
    detail = str(getattr(error, "detail", "") or "")
    _, _, rest = detail.partition("=(")
    return rest.partition(")")[0]

"""One transaction on orchestrations: locks in one order, changes in batches.

Lock order everywhere: orchestration → tuning runs by id → trials by number. Whoever changes trials,
counters or states holds the orchestration's lock, so two changes of one orchestration never overlap
and its event numbers have no gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.core.event import Payload
from services.core.plan import Plan, RequestKey
from services.core.pruning import PruneDecision
from services.core.refinement import Refinement
from services.core.space import Assignment, SearchSpace
from services.core.step_judging import Incumbent, StepStanding
from services.store.ports.records import (
    AttemptCost,
    FinishedTrial,
    OrchestrationRecord,
    StageRecord,
    TrialEnd,
    TrialInsert,
    TrialRecord,
    TrialRequeue,
    TrialStep,
    TuningRunRecord,
)
from services.store.ports.workforce_records import SessionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRequest:
    """What a request id was used for before."""

    body_hash: bytes
    resource_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The orchestration that holds a study name."""

    orchestration_id: str
    spec_hash: bytes


class PlanWrites(Protocol):
    """Creating orchestrations."""

    async def reserve_request(
        self, tenant: str, key: RequestKey, *, resource_id: str
    ) -> EarlierRequest | None:
        """Takes a request id for a resource; waits for another transaction that is about to take it.

        Returns: None when it is ours now, else what it was used for.
        """
        ...

    async def redirect_request(self, tenant: str, key: RequestKey, *, resource_id: str) -> None:
        """Lets a request id that is ours name another resource."""
        ...

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
        """Inserts an orchestration, its stages and tuning runs, all PENDING.

        Args:
            tuning_run_ids: ids for the tuning runs of each stage, in the plan's order.
            request_id: of the request behind it; empty for none.

        Returns: None when inserted, else the study that holds the name.
        Raises: NotFound: a model run does not exist.
        """
        ...


class TrialWrites(Protocol):
    """Changing the trials of a locked orchestration."""

    async def lock_trials(
        self, orchestration_id: str, numbers: Sequence[int]
    ) -> Sequence[TrialRecord]:
        """Locks trials in the order of the numbers, which is ascending; unknown ones are left out."""
        ...

    async def lock_open_trials(self, tuning_run_ids: Sequence[str]) -> Sequence[TrialRecord]:
        """Locks all queued and running trials of tuning runs, by number."""
        ...

    async def insert_trials(
        self,
        orchestration_id: str,
        *,
        tuning_run_id: str,
        stage_index: int,
        trials: Sequence[TrialInsert],
    ) -> None:
        """Creates queued trials."""
        ...

    async def read_finished(self, orchestration_id: str, number: int) -> FinishedTrial | None:
        """Gives the result of a SUCCEEDED trial; None where there is no such trial, or it has not succeeded."""
        ...

    async def find_number(self, tuning_run_id: str, suggestion_index: int) -> int | None:
        """Gives the number of the trial made from a suggestion."""
        ...

    async def start_trials(
        self,
        orchestration_id: str,
        numbers: Sequence[int],
        *,
        session: SessionRecord,
        claim_id: str,
    ) -> None:
        """Makes queued trials RUNNING under a session."""
        ...

    async def clear_dispatch(self, orchestration_id: str, numbers: Sequence[int] | None) -> None:
        """Makes queued trials available to the next hand-out; all of the orchestration's for None."""
        ...

    async def delay_trials(
        self, orchestration_id: str, numbers: Sequence[int], seconds: float
    ) -> None:
        """Makes queued trials available to hand-outs after so many seconds."""
        ...

    async def end_trials(self, orchestration_id: str, ends: Sequence[TrialEnd]) -> None:
        """Gives trials their terminal states."""
        ...

    async def requeue_trials(self, orchestration_id: str, requeues: Sequence[TrialRequeue]) -> None:
        """Makes running trials QUEUED again under a new attempt."""
        ...

    async def set_reported_splits(
        self, orchestration_id: str, splits: Sequence[tuple[int, int]]
    ) -> None:
        """Records (number, splits reported) of running trials."""
        ...

    async def read_parameters(self, orchestration_id: str, number: int) -> Assignment:
        """Gives the assignment of one trial, decoded."""
        ...

    async def most_frequent_failure(self, tuning_run_id: str) -> str:
        """Gives the failure message most of the tuning run's failed trials have; empty without any."""
        ...


class CostWrites(Protocol):
    """What attempts of a locked orchestration cost."""

    async def insert_attempt_costs(
        self,
        orchestration_id: str,
        attempts: Sequence[tuple[int, int]],
        *,
        started_at: datetime,
        reserved: float,
    ) -> int:
        """Notes that attempts start, given as (number, attempt).

        Returns: how many were not noted before.
        """
        ...

    async def read_attempt_costs(
        self, orchestration_id: str, attempts: Sequence[tuple[int, int]]
    ) -> Sequence[AttemptCost]:
        """Gives the costs of those of the attempts, as (number, attempt), that are not settled."""
        ...

    async def read_expired_costs(self, orchestration_id: str) -> Sequence[AttemptCost]:
        """Gives the costs of attempts that left and whose finish is not waited for any more."""
        ...

    async def save_attempt_costs(self, orchestration_id: str, costs: Sequence[AttemptCost]) -> None:
        """Writes what changed about attempts that were not settled."""
        ...


class StepWrites(Protocol):
    """What trials of a locked orchestration came to after each step, where a rule compares them."""

    async def read_steps(
        self, orchestration_id: str, attempts: Sequence[tuple[int, int]]
    ) -> Sequence[TrialStep]:
        """Gives all that is known of the steps of attempts, as (number, attempt), by number and step."""
        ...

    async def read_standings(
        self, tuning_run_id: str, steps: Sequence[int]
    ) -> Mapping[int, Mapping[int, StepStanding]]:
        """Gives where the trials of a tuning run stood, by step and number; each by its latest attempt."""
        ...

    async def read_stops(
        self, orchestration_id: str, attempts: Sequence[tuple[int, int]]
    ) -> Mapping[int, PruneDecision]:
        """Gives the first decision to stop of each of those attempts that has one, by number."""
        ...

    async def read_incumbent(self, orchestration_id: str, number: int) -> Incumbent | None:
        """Gives a complete trial as others run against it; None where its splits are not known."""
        ...

    async def insert_steps(self, orchestration_id: str, steps: Sequence[TrialStep]) -> None:
        """Adds steps; those of an attempt that are there already stay as they are."""
        ...


class Transaction(PlanWrites, TrialWrites, CostWrites, StepWrites, Protocol):
    """Everything one transaction can do; nothing of it is visible before it commits."""

    async def knows_session(self, session_id: str) -> bool:
        """Says whether there is a session with this id, open or ended; it is not locked."""
        ...

    async def keep_session(self, session_id: str) -> SessionRecord | None:
        """Reads a session and keeps it from ending before this transaction does; None if unknown."""
        ...

    async def has_other_workers(self, session: SessionRecord) -> bool:
        """Says whether another worker of the session's class lives, by its name."""
        ...

    async def lock_orchestration(self, orchestration_id: str) -> OrchestrationRecord | None:
        """Locks an orchestration; None if unknown."""
        ...

    async def lock_stages(self, orchestration_id: str) -> Sequence[StageRecord]:
        """Reads the stages of a locked orchestration, in order."""
        ...

    async def lock_tuning_runs(
        self, orchestration_id: str, tuning_run_ids: Sequence[str] | None
    ) -> Sequence[TuningRunRecord]:
        """Locks tuning runs by id; all of the orchestration's for None."""
        ...

    async def lock_tuning_runs_of_trials(
        self, orchestration_id: str, numbers: Sequence[int]
    ) -> Sequence[TuningRunRecord]:
        """Locks the tuning runs that trials belong to, by id."""
        ...

    async def save_orchestration(self, record: OrchestrationRecord) -> None:
        """Writes what can change of an orchestration."""
        ...

    async def save_budget(self, record: OrchestrationRecord) -> None:
        """Writes limits, what was used of them, and what else changes rarely."""
        ...

    async def save_stages(self, orchestration_id: str, records: Sequence[StageRecord]) -> None:
        """Writes what can change of stages."""
        ...

    async def save_tuning_runs(self, records: Sequence[TuningRunRecord]) -> None:
        """Writes what can change of tuning runs."""
        ...

    async def set_space(
        self, tuning_run_id: str, *, space: SearchSpace, total_combinations: int | None
    ) -> None:
        """Replaces the space a tuning run searches."""
        ...

    async def insert_refinement(self, refinement: Refinement) -> None:
        """Stores a refinement under its id."""
        ...

    async def append_events(
        self,
        orchestration_id: str,
        *,
        first_sequence: int,
        payloads: Sequence[Payload],
        occurred_at: datetime,
        request_id: str,
    ) -> None:
        """Appends events numbered from `first_sequence` on, all brought about by one request, or by none."""
        ...


class Storage(Protocol):
    """Where orchestrations are kept."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Opens a transaction: commits at a clean end, changes nothing after an error.

        Raises: Unavailable: the database cannot be reached. When this comes from the commit, whether
            it happened is unknown; every use case can be repeated.
        """
        ...

    async def orchestration_of(self, tuning_run_id: str) -> str | None:
        """Gives the orchestration a tuning run belongs to, which never changes; None if unknown."""
        ...

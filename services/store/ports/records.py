"""Rows as use cases see them: what a decision needs, nothing more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from services.core.plan import LifecycleState
from services.core.run import TrialCounts
from services.core.trial import Failure, SplitScores, TrialState

# An assignment in the form it travels in. The store passes assignments on and never looks inside,
# so they are not decoded on the way of every trial.
EncodedAssignment: TypeAlias = bytes

# What stands in for a candidate index that is not there: nulls rank last.
NO_CANDIDATE = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best trial of something.

    Attributes:
        rank: decides between equal scores, the lowest wins.
    """

    number: int
    tuning_run_id: str
    score: float
    rank: tuple[int, ...]

    def beats(self, other: Best | None) -> bool:
        """Whether this is better than `other`; anything is better than nothing."""
        if other is None:
            return True
        return (-self.score, self.rank) < (-other.score, other.rank)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestrationRecord:
    """A locked orchestration; `observed_at` is the database's time when it was locked."""

    orchestration_id: str
    tenant: str
    state: LifecycleState
    reason: str
    message: str
    max_concurrent_trials: int
    last_sequence: int
    next_trial_number: int
    refinement_count: int
    counts: TrialCounts
    best: Best | None
    started_at: datetime | None
    ended_at: datetime | None
    observed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """A stage of a locked orchestration."""

    index: int
    method: str
    state: LifecycleState
    reason: str
    message: str
    max_active_tuning_runs: int
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningRunRecord:
    """A locked tuning run.

    Attributes:
        position: place within its stage, which is its model's place in the plan.
        created: trials created so far, which is the next suggestion's index.
        last_end_sequence: event of the last trial that ended.
        mean_duration: seconds a trial takes, of the latest ones; None until measured.
    """

    tuning_run_id: str
    stage_index: int
    position: int
    model_run_id: str
    model_type: str
    method: str
    method_used: str
    state: LifecycleState
    reason: str
    message: str
    counts: TrialCounts
    created: int
    best: Best | None
    last_end_sequence: int
    measured_trials: int
    mean_duration: float | None
    searcher_epoch: int
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """A locked trial; strikes count failures by kind, kept apart from `attempt`, which is only the fence."""

    number: int
    tuning_run_id: str
    stage_index: int
    state: TrialState
    attempt: int
    parameters: EncodedAssignment
    candidate_index: int | None
    finished_attempt: int | None
    reported_splits: int
    lost_strikes: int
    crash_strikes: int
    oom_strikes: int
    crash_worker: str
    session_id: str | None
    claim_id: str | None
    worker: str
    missed_beats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialInsert:
    """A trial to create."""

    number: int
    parameters: EncodedAssignment
    candidate_index: int | None
    phase: str
    suggestion_index: int
    suggested_at_sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEnd:
    """A trial that ends.

    Attributes:
        finished_attempt: the attempt whose result ends it; None when no result did.
        stop_requested: whether a worker that still runs it must be told to stop.
    """

    number: int
    state: TrialState
    finished_attempt: int | None = None
    score: float | None = None
    metrics: tuple[SplitScores, ...] = ()
    failure: Failure | None = None
    fit_seconds: float = 0.0
    score_seconds: float = 0.0
    duration_seconds: float = 0.0
    stop_requested: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRequeue:
    """A trial that left RUNNING unfinished and waits again under a new attempt."""

    number: int
    attempt: int
    lost_strikes: int
    crash_strikes: int
    oom_strikes: int
    crash_worker: str
    not_before: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTrial:
    """A suggestion that is to become a trial."""

    parameters: EncodedAssignment
    candidate_index: int | None
    phase: str
    suggestion_index: int
    suggested_at_sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """A worker's presence; `ended` once it was closed or its lease ran out."""

    session_id: str
    worker_class: str
    worker_name: str
    slots: int
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldTrial:
    """What the store knows of an attempt a worker says it holds; `state` None for an unknown trial."""

    orchestration_id: str
    number: int
    attempt: int
    state: TrialState | None
    current_attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningTrial:
    """A trial that runs under a session."""

    orchestration_id: str
    number: int
    attempt: int
    missed_beats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLoad:
    """How much of a tuning run's work waits and is under way.

    Attributes:
        waiting: queued trials nobody was sent, whether or not they may start yet.
        outstanding: trials dispatched or running, of this tuning run.
        orchestration_outstanding: the same over the whole orchestration.
        open_for_work: whether tuning run and orchestration run, so that more may be handed out.
    """

    tuning_run_id: str
    orchestration_id: str
    worker_class: str
    priority: int
    created_at: datetime
    stage_index: int
    position: int
    max_concurrent_trials: int
    waiting: int
    outstanding: int
    orchestration_outstanding: int
    mean_duration: float | None
    open_for_work: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerClass:
    """The workers of one class whose leases are good."""

    worker_class: str
    live_workers: int
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PickedTrial:
    """A queued trial that was just marked as dispatched; one with strikes travels alone."""

    tuning_run_id: str
    orchestration_id: str
    number: int
    attempt: int
    has_strikes: bool

"""Rows of searches and trials as use cases see them: what a decision needs, nothing more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from services.core.budget import UNLIMITED, Budget
from services.core.intervals import IntervalMethod, SplitFacts
from services.core.plan import DEFAULT_WORKER_CLASS, LifecycleState
from services.core.pruning import Leader, PruneDecision, Threshold, threshold_of
from services.core.pruning_settings import Pruning
from services.core.run import TrialCounts
from services.core.step_judging import StepStanding
from services.core.stopping import NO_RULES, NO_TREND, StoppingRules, Trend
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
    """A locked orchestration.

    Attributes:
        observed_at: the database's time when it was locked.
        active_seconds: time RUNNING before the present period, which began at `active_since`.
        deadline_at: when its time will be used up; only while it is RUNNING and has a limit.
        reserved_attempts: attempts whose price is reserved and not known yet.
        copied: trials that have an earlier one's result.
        workers_missing: whether its log says that no worker is there.
        stopping: what ends all of it early; `trend` is how scores went since the last improvement.
    """

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
    worker_class: str = DEFAULT_WORKER_CLASS
    budget: Budget = UNLIMITED
    active_seconds: float = 0.0
    active_since: datetime | None = None
    deadline_at: datetime | None = None
    cost: float = 0.0
    reserved_attempts: int = 0
    workers_missing: bool = False
    stopping: StoppingRules = NO_RULES
    trend: Trend = NO_TREND
    copied: int = 0

    @property
    def trials_spent(self) -> int:
        """Trials created that its budget counts."""
        return self.next_trial_number - self.copied

    @property
    def active_seconds_now(self) -> float:
        """Time RUNNING up to `observed_at`."""
        if self.active_since is None:
            return self.active_seconds
        return self.active_seconds + max(
            0.0, (self.observed_at - self.active_since).total_seconds()
        )

    @property
    def is_overdue(self) -> bool:
        """Whether its time was used up when it was locked: nothing starts any more."""
        return self.deadline_at is not None and self.observed_at >= self.deadline_at


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
        trial_budget: trials asked for; None for a grid.
        total_combinations: points of its space; None when infinite.
        created: trials created so far, which is the next suggestion's index.
        last_end_sequence: event of the last trial that ended.
        mean_duration: seconds a trial takes, of the latest ones; None until measured.
        metrics: what its trials are scored by, the objective first.
        cv_folds: how many splits each of them is scored on.
        stopping: what ends it early; `trend` is how its scores went since the last improvement.
        stop_reason: the rule of its own that was fulfilled; nothing more is created then. Empty for none.
        pruning: how trials are stopped early; None when they are not.
        leaders: the best complete trials, the best first, as many as pruning keeps.
        fits_saved: fits that trials stopped early did not need.
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
    trial_budget: int | None
    total_combinations: int | None
    counts: TrialCounts
    created: int
    best: Best | None
    last_end_sequence: int
    measured_trials: int
    mean_duration: float | None
    searcher_epoch: int
    metrics: tuple[str, ...]
    cv_folds: int
    started_at: datetime | None
    ended_at: datetime | None
    stopping: StoppingRules = NO_RULES
    trend: Trend = NO_TREND
    stop_reason: str = ""
    pruning: Pruning | None = None
    leaders: tuple[Leader, ...] = ()
    fits_saved: int = 0

    @property
    def threshold(self) -> Threshold | None:
        """What its trials must beat now to be finished; None while none is stopped by that."""
        if self.pruning is None or self.pruning.guesses:
            return None
        return threshold_of(self.leaders, self.pruning)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """A locked trial; strikes count failures by kind, kept apart from `attempt`, which is only the fence.

    `infra_failures` are no strikes; they may go on for a while after the first, at `infra_since`.
    `not_before` is when it may start at the earliest, or might have; None where it never had to wait.
    """

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
    infra_failures: int
    infra_since: datetime | None
    crash_worker: str
    session_id: str | None
    claim_id: str | None
    worker: str
    missed_beats: int
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialInsert:
    """A trial to create; `copied_from` as in `core.trial.Trial`."""

    number: int
    parameters: EncodedAssignment
    candidate_index: int | None
    phase: str
    suggestion_index: int
    suggested_at_sequence: int
    copied_from: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedTrial:
    """The result of a SUCCEEDED trial, and what it was measured on."""

    number: int
    model_run_id: str
    parameters: EncodedAssignment
    score: float
    metrics: tuple[SplitScores, ...]
    splits: tuple[SplitFacts, ...]
    interval_method: IntervalMethod


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEnd:
    """A trial that ends.

    Attributes:
        finished_attempt: the attempt whose result ends it; None when no result did.
        stop_requested: whether a worker that still runs it must be told to stop.
        prune_decision: why it was PRUNED.
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
    prune_decision: PruneDecision | None = None
    splits: tuple[SplitFacts, ...] = ()
    interval_method: IntervalMethod = IntervalMethod.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStep:
    """What an attempt came to after a step, and what its search's rule said then.

    Attributes:
        step: how many steps it had made.
        decision: None where the rule did not look.
    """

    tuning_run_id: str
    number: int
    attempt: int
    step: int
    standing: StepStanding
    decision: PruneDecision | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRequeue:
    """A trial that left RUNNING unfinished and waits again under a new attempt."""

    number: int
    attempt: int
    lost_strikes: int
    crash_strikes: int
    oom_strikes: int
    infra_failures: int
    infra_since: datetime | None
    crash_worker: str
    not_before: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCost:
    """What one attempt at a trial costs.

    Attributes:
        reserved: what it may cost at most, held until it is settled; 0 without a wall limit.
        charged: what it cost; before it is settled, what is charged for want of better knowledge.
        left_at: when it left RUNNING without a finish.
        expires_at: no finish is waited for after this; None without a wall limit.
        settled: nothing changes its cost any more.
    """

    number: int
    attempt: int
    started_at: datetime
    reserved: float
    charged: float = 0.0
    left_at: datetime | None = None
    expires_at: datetime | None = None
    settled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTrial:
    """A suggestion that is to become a trial; `copied_from` as in `core.searcher.Suggestion`."""

    parameters: EncodedAssignment
    candidate_index: int | None
    phase: str
    suggestion_index: int
    suggested_at_sequence: int
    copied_from: int | None = None

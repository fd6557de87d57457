"""What stands now: orchestrations, stages and tuning runs as they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.core.budget import NOTHING_USED, UNLIMITED, Budget, BudgetUse
from services.core.plan import DEFAULT_EXPLORE, DEFAULT_WORKER_CLASS, LifecycleState
from services.core.pruning_settings import Pruning
from services.core.refinement_rules import FIXED
from services.core.selection import BY_SCORE, Selection
from services.core.space import Assignment, SearchSpace
from services.core.splitting import Splitter
from services.core.start_points import NO_START_POINTS, StartPoints
from services.core.stopping import NO_RULES, StoppingRules


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialCounts:
    """Trials by state; `total` is the number planned."""

    total: int = 0
    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    pruned: int = 0
    cancelled: int = 0

    @property
    def completed(self) -> int:
        """Trials that ended."""
        return self.succeeded + self.failed + self.pruned + self.cancelled

    def __add__(self, other: TrialCounts) -> TrialCounts:
        return TrialCounts(
            total=self.total + other.total,
            queued=self.queued + other.queued,
            running=self.running + other.running,
            succeeded=self.succeeded + other.succeeded,
            failed=self.failed + other.failed,
            pruned=self.pruned + other.pruned,
            cancelled=self.cancelled + other.cancelled,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BestTrial:
    """The best trial of something."""

    trial_number: int
    tuning_run_id: str
    model_run_id: str
    model_type: str
    method: str
    score: float
    parameters: Assignment


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineTrial:
    """The trial of the model's current parameters; `score` is None until it has succeeded."""

    trial_number: int
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """When something ran; `duration_seconds` up to its end or now, `remaining_seconds` None while unknown."""

    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: float = 0.0
    remaining_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningRun:
    """One search by one method over the parameters of one model run.

    `fits_saved` counts the fits that trials stopped early did not need.
    """

    tuning_run_id: str
    orchestration_id: str
    stage_index: int
    model_run_id: str
    model_type: str
    method: str
    method_used: str
    state: LifecycleState
    reason: str
    message: str
    space: SearchSpace
    original_space: SearchSpace
    trial_budget: int | None
    total_combinations: int | None
    counts: TrialCounts
    best: BestTrial | None
    timings: Timings
    metrics: tuple[str, ...]
    cv_folds: int
    random_state: int
    splitter: Splitter | None = None
    stopping: StoppingRules = NO_RULES
    pruning: Pruning | None = None
    fits_saved: int = 0
    start: StartPoints = NO_START_POINTS
    baseline: BaselineTrial | None = None

    @property
    def improvement(self) -> float | None:
        """How much better the best trial is than the baseline, ≥ 0; None while either has no score."""
        if self.best is None or self.baseline is None or self.baseline.score is None:
            return None
        return self.best.score - self.baseline.score


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage with its tuning runs; `refinement` and `explore` hold where there is a factor."""

    index: int
    method: str
    state: LifecycleState
    reason: str
    message: str
    best_score: float | None
    counts: TrialCounts
    timings: Timings
    tuning_runs: tuple[TuningRun, ...]
    max_active_tuning_runs: int
    refinement_factor: float | None
    refinement: str = FIXED
    explore: float = DEFAULT_EXPLORE


@dataclass(frozen=True, slots=True, kw_only=True)
class Orchestration:
    """One accepted request and everything that came of it; `stages` is empty in listings.

    `first_sequence` is the number of the oldest event that is kept; `best` is the best by score, whatever
    `selection` makes of it.
    """

    orchestration_id: str
    workflow: str
    state: LifecycleState
    reason: str
    message: str
    study_name: str
    counts: TrialCounts
    stages: tuple[Stage, ...]
    best: BestTrial | None
    last_sequence: int
    timings: Timings
    scoring_metric: str
    cv_folds: int
    random_state: int
    max_concurrent_trials: int
    budget: Budget = UNLIMITED
    used: BudgetUse = NOTHING_USED
    priority: int = 0
    worker_class: str = DEFAULT_WORKER_CLASS
    first_sequence: int = 1
    stopping: StoppingRules = NO_RULES
    selection: Selection = BY_SCORE

    @property
    def percentage(self) -> float:
        """Share of the planned trials that ended, 0 to 100."""
        if self.state is LifecycleState.COMPLETED:
            return 100.0
        if self.counts.total <= 0:
            return 0.0
        return min(100.0, 100.0 * self.counts.completed / self.counts.total)

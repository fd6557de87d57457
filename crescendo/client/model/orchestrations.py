"""Orchestrations, their stages and tuning runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from crescendo.client.model.spaces import SpaceParameter
from crescendo.client.model.states import ENDED, State
from crescendo.client.model.terms import (
    BY_SCORE,
    NO_LIMITS,
    NO_RULES,
    Budget,
    Pruning,
    Selection,
    Splitter,
    StoppingRules,
)
from crescendo.client.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Trials by state; `total` counts those planned, `completed` those that ended."""

    total: int = 0
    completed: int = 0
    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    pruned: int = 0
    cancelled: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best trial of something."""

    trial_number: int
    score: float
    parameters: dict[str, Value]
    method: str
    model_type: str
    model_run_id: str
    tuning_run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """When something ran, in UTC; seconds up to its end or now, and until its end where known."""

    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: float = 0.0
    remaining_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The trial of the model's current parameters, and how much better the best one is."""

    trial_number: int
    score: float | None
    improvement: float | None


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
    state: State
    reason: str
    message: str
    space: tuple[SpaceParameter, ...]
    original_space: tuple[SpaceParameter, ...]
    total_combinations: int | None
    counts: Counts
    best: Best | None
    timings: Timings
    metrics: tuple[str, ...]
    splitter: Splitter | None = None
    baseline: Baseline | None = None
    stopping: StoppingRules = NO_RULES
    pruning: Pruning | None = None
    fits_saved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a plan; `refinement` is `fixed` or `adaptive`, empty where nothing is refined."""

    index: int
    method: str
    state: State
    reason: str
    message: str
    best_score: float | None
    counts: Counts
    timings: Timings
    tuning_runs: tuple[TuningRun, ...]
    refinement: str = ""
    refinement_factor: float | None = None
    explore: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """What was used up; `reserved_cost` is held for attempts that may still run.

    `copied_trials` have the result of an earlier trial, and no limit counts them.
    """

    active_seconds: float = 0.0
    cost: float = 0.0
    reserved_cost: float = 0.0
    copied_trials: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Orchestration:
    """One accepted request and everything that came of it; listings leave `stages` out.

    `best` is the best by score; `selection` says what else the best model may be.
    """

    orchestration_id: str
    workflow: str
    state: State
    reason: str
    message: str
    study_name: str
    counts: Counts
    percentage: float
    stages: tuple[Stage, ...]
    best: Best | None
    last_sequence: int
    timings: Timings
    scoring_metric: str
    cv_folds: int
    random_state: int
    max_concurrent_trials: int
    budget: Budget = NO_LIMITS
    used: BudgetUse = BudgetUse()
    priority: int = 0
    worker_class: str = "default"
    stopping: StoppingRules = NO_RULES
    selection: Selection = BY_SCORE

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED

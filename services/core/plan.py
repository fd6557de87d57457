"""Plans: an orchestration is a list of stages, a stage a set of tuning runs by one method."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from services.core.objective import EvaluationSpec
from services.core.space import SearchSpace

GRID_SEARCH: Final = "grid_search"
RANDOM_SEARCH: Final = "random_search"
BAYESIAN: Final = "bayesian"
CROSS_VALIDATION: Final = "cross_validation"

METHODS: Final = (GRID_SEARCH, RANDOM_SEARCH, BAYESIAN, CROSS_VALIDATION)
"""Methods a tuning run may have."""

TUNING_METHODS: Final = (GRID_SEARCH, RANDOM_SEARCH, BAYESIAN)
"""Methods a client may ask for."""

PROGRESSIVE_SEARCH: Final = "progressive_search"
MULTI_MODEL_COMPARISON: Final = "multi_model_comparison"
TUNING: Final = "tuning"

WORKFLOWS: Final = (PROGRESSIVE_SEARCH, MULTI_MODEL_COMPARISON, TUNING, CROSS_VALIDATION)
"""Presets an orchestration may come from."""


class LifecycleState(Enum):
    """PENDING → RUNNING ⇄ PAUSED → COMPLETED | FAILED | CANCELLED."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether something in this state has ended."""
        return self in (
            LifecycleState.COMPLETED,
            LifecycleState.FAILED,
            LifecycleState.CANCELLED,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningRunPlan:
    """One tuning run of a plan.

    Attributes:
        trial_budget: trials asked for; None for a grid, which runs all its points.
        planned_trials: trials it will run if nothing ends it early.
        total_combinations: points of the space; None when infinite.
    """

    model_run_id: str
    model_type: str
    space: SearchSpace
    trial_budget: int | None
    planned_trials: int
    total_combinations: int | None
    evaluation: EvaluationSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """One stage: `max_active_tuning_runs` 0 runs all at once, 1 one after another.

    `refinement_factor` in (0, 1]; None searches the original space.
    """

    method: str
    tuning_runs: tuple[TuningRunPlan, ...]
    max_active_tuning_runs: int = 0
    refinement_factor: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a client's request comes down to."""

    workflow: str
    study_name: str
    stages: tuple[StagePlan, ...]
    scoring_metric: str
    cv_folds: int
    random_state: int
    max_concurrent_trials: int
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """The identity of a request that may be repeated; `body_hash` is a SHA-256."""

    rpc: str
    request_id: str
    body_hash: bytes

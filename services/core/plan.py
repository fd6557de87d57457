"""Plans: an orchestration is a list of stages, a stage a set of tuning runs by one method."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from services.core.budget import UNLIMITED, Budget
from services.core.objective import EvaluationSpec
from services.core.pruning_settings import Pruning
from services.core.refinement_rules import FIXED
from services.core.selection import BY_SCORE, Selection
from services.core.space import SearchSpace
from services.core.start_points import NO_START_POINTS, StartPoints
from services.core.stopping import NO_RULES, StoppingRules

GRID_SEARCH: Final = "grid_search"
RANDOM_SEARCH: Final = "random_search"
BAYESIAN: Final = "bayesian"
BAYESIAN_SKOPT: Final = "bayesian_skopt"
TPE: Final = "tpe"
SOBOL: Final = "sobol"
LOCAL: Final = "local"
CROSS_VALIDATION: Final = "cross_validation"

BUDGETED_METHODS: Final = (RANDOM_SEARCH, SOBOL, BAYESIAN, BAYESIAN_SKOPT, TPE, LOCAL)
"""Methods that run as many trials as they are asked to, and go on when asked for more."""

TUNING_METHODS: Final = (GRID_SEARCH, *BUDGETED_METHODS)
"""Methods a client may ask for."""

METHODS: Final = (*TUNING_METHODS, CROSS_VALIDATION)
"""Methods a tuning run may have."""

MODEL_BASED_METHODS: Final = (BAYESIAN, BAYESIAN_SKOPT, TPE)
"""Methods that fit a model, which takes its time."""

ADAPTIVE_METHODS: Final = (*MODEL_BASED_METHODS, LOCAL)
"""Methods that learn from results: the fewer of these they lack, the better their points are.

They go between the numbers of a list; the others take lists as given.
"""

DEFAULT_EXPLORE: Final = 0.2
"""Share of a refined stage's points that look in the original bounds: refinement may be wrong."""

DEFAULT_WORKER_CLASS: Final = "default"

PROGRESSIVE_SEARCH: Final = "progressive_search"
PLAN: Final = "plan"
MULTI_MODEL_COMPARISON: Final = "multi_model_comparison"
TUNING: Final = "tuning"

WORKFLOWS: Final = (PROGRESSIVE_SEARCH, MULTI_MODEL_COMPARISON, PLAN, TUNING, CROSS_VALIDATION)
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
        stopping: what ends it early.
        pruning: how its trials are stopped early; None when they are not.
        start: points of the space that are tried first, within the budget.
    """

    model_run_id: str
    model_type: str
    space: SearchSpace
    trial_budget: int | None
    planned_trials: int
    total_combinations: int | None
    evaluation: EvaluationSpec
    stopping: StoppingRules = NO_RULES
    pruning: Pruning | None = None
    start: StartPoints = NO_START_POINTS


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """One stage: `max_active_tuning_runs` 0 runs all at once, 1 one after another.

    `refinement_factor` in (0, 1]; None searches the original space. `refinement` is FIXED, ADAPTIVE or
    NEAR, whose factor is the radius of a local stage;
    `explore` is the share of points, 0 to 1, that look in the original bounds of a refined space.
    """

    method: str
    tuning_runs: tuple[TuningRunPlan, ...]
    max_active_tuning_runs: int = 0
    refinement_factor: float | None = None
    refinement: str = FIXED
    explore: float = DEFAULT_EXPLORE


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a client's request comes down to.

    `priority` serves higher before lower; `worker_class` names the workers that run the trials;
    `stopping` ends all of it early, whatever the rules of its tuning runs; `selection` says what of each
    model is its result.
    """

    workflow: str
    study_name: str
    stages: tuple[StagePlan, ...]
    scoring_metric: str
    cv_folds: int
    random_state: int
    max_concurrent_trials: int
    notices: tuple[str, ...] = ()
    budget: Budget = UNLIMITED
    priority: int = 0
    worker_class: str = DEFAULT_WORKER_CLASS
    stopping: StoppingRules = NO_RULES
    selection: Selection = BY_SCORE


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """The identity of a request that may be repeated; `body_hash` is a SHA-256."""

    rpc: str
    request_id: str
    body_hash: bytes

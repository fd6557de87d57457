"""What the library hands out: plain frozen values, states as lower-case words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from crescendo.client.values import Value

# pending, running, paused, completed, failed or cancelled; of trials: queued, running, succeeded, …
State: TypeAlias = str

ENDED: frozenset[State] = frozenset({"completed", "failed", "cancelled"})


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
class SpaceParameter:
    """One parameter of a space.

    Attributes:
        kind: `float_range`, `int_range`, `choices`, `fixed` or `grid`.
        low: lowest value of a range; None for the other kinds.
        high: highest value of a range.
        values: the values of a list, and those allowed beside a range.
    """

    name: str
    kind: str
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningRun:
    """One search by one method over the parameters of one model run."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a plan."""

    index: int
    method: str
    state: State
    reason: str
    message: str
    best_score: float | None
    counts: Counts
    timings: Timings
    tuning_runs: tuple[TuningRun, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Orchestration:
    """One accepted request and everything that came of it; listings leave `stages` out."""

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

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """The scores of one metric over the splits of one trial."""

    metric: str
    split_scores: tuple[float, ...]
    mean: float | None
    std: float | None
    median: float | None
    min: float | None
    max: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a trial failed: a kind such as `exception`, and the message."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One assignment and what came of it; `score` is the mean over the splits."""

    number: int
    stage_index: int
    state: State
    score: float | None
    parameters: dict[str, Value]
    phase: str
    metrics: tuple[Metric, ...]
    failure: Failure | None
    worker: str
    attempt: int
    fit_seconds: float
    score_seconds: float
    candidate_index: int | None
    tuning_run_id: str
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterRefinement:
    """What a refinement did to one parameter, and why."""

    name: str
    before: SpaceParameter
    after: SpaceParameter
    rule: str
    explanation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refinement:
    """How the space of one stage was made from the results before it."""

    refinement_id: int
    source_tuning_run_id: str
    target_tuning_run_id: str
    refinement_factor: float
    evidence_trial_numbers: tuple[int, ...]
    best_trial_number: int
    parameters: tuple[ParameterRefinement, ...]
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedModel:
    """One model of an orchestration; rank 1 is the best, 0 means no successful trial."""

    rank: int
    model_run_id: str
    model_type: str
    state: State
    best: Best | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BestModel:
    """The best trial of an orchestration, and every model ranked."""

    best: Best
    trial: Trial
    ranking: tuple[RankedModel, ...]
    scoring_metric: str
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One feature column: `float`, `int`, `bool` or `string`."""

    name: str
    type: str
    missing_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """An immutable table with a target column; `classes` maps labels to rows."""

    dataset_id: str
    name: str
    task: str
    target_column: str
    row_count: int
    columns: tuple[Column, ...]
    classes: dict[str, int]
    content_hash: str
    size_bytes: int
    built_in: bool
    created_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One preprocessing step.

    Attributes:
        type: such as `impute`, `standard_scaler`, `one_hot_encoder`, `select_k_best`.
        name: its name in parameter names (`name__parameter`); the type when empty.
        columns: `all`, `numeric`, `categorical`, or empty for what the type takes by itself.
    """

    type: str
    name: str = ""
    parameters: dict[str, Value] | None = None
    columns: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRun:
    """A model type on a dataset, ready to be tuned."""

    model_run_id: str
    experiment: str
    dataset_id: str
    model_type: str
    fixed_parameters: dict[str, Value]
    steps: tuple[Step, ...]
    created_at: datetime | None

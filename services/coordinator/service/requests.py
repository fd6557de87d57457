"""What clients ask for, with every default filled in, not yet checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from services.core.grid import DEFAULT_GRID_RESOLUTION
from services.core.plan import DEFAULT_EXPLORE, DEFAULT_WORKER_CLASS
from services.core.refinement_rules import FIXED
from services.core.selection import Preference
from services.core.space_request import DistributionRequest, SpaceRequest
from services.core.splitting import Splitter

# JSON as a person wrote it: every number is a float, whatever the parameter's type.
Json: TypeAlias = object
JsonGrid: TypeAlias = Mapping[str, Sequence[Json]]

DEFAULT_FOLDS = 5
DEFAULT_RANDOM_STATE = 42
DEFAULT_REFINEMENT_FACTOR = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestIdentity:
    """What makes a request safe to repeat.

    Attributes:
        request_id: the client's UUID, not yet checked; empty without one.
        body_hash: SHA-256 of the explicitly set fields, without request_id and validate_only.
        spec_hash: as `body_hash`, with the RPC's name and without totals and limits: what requests of
            one study name must share. With a larger total the study is extended.
        validate_only: check and plan, create nothing.
    """

    rpc: str
    request_id: str
    body_hash: bytes
    spec_hash: bytes
    validate_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringRequest:
    """How trials are scored, and by whom; `splitter` None for scikit-learn's choice for `cv_folds`.

    `cv_folds` None where the request leaves it out: DEFAULT_FOLDS, or what the splitter or the data say.
    """

    cv_folds: int | None = None
    splitter: Splitter | None = None
    weighted_scoring: bool = False
    return_train_scores: bool = False
    random_state: int = DEFAULT_RANDOM_STATE
    worker_class: str = DEFAULT_WORKER_CLASS


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionRequest:
    """How the result is to be selected; a parameter of `simpler` has None where nothing was said of it."""

    rule: str = ""
    simpler: tuple[tuple[str, Preference | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest(ScoringRequest):
    """What all searches share; `max_concurrent_trials` 0 for no limit, `scoring_metric` empty for the task's.

    `budget` holds the limits that were set, by their names in `core.budget.Budget`; `stopping` and
    `stage_stopping` hold the rules that were set, by their names in `core.stopping.StoppingRules`;
    `grid_resolution` is how many values a grid takes of a range without a step; `pruning` what was set of
    `core.pruning_settings.Pruning`, None when nothing is stopped early; `space_type` and `config_type` name
    presets, empty for none; `selection` None for the best by score.
    """

    scoring_metric: str = ""
    max_concurrent_trials: int = 0
    study_name: str = ""
    budget: Mapping[str, float] = field(default_factory=dict)
    priority: int = 0
    stopping: Mapping[str, float] = field(default_factory=dict)
    stage_stopping: Mapping[str, float] = field(default_factory=dict)
    grid_resolution: int = DEFAULT_GRID_RESOLUTION
    pruning: Mapping[str, Any] | None = None
    space_type: str = ""
    config_type: str = ""
    selection: SelectionRequest | None = None

    @property
    def prunes(self) -> bool:
        """Whether trials are to be stopped early."""
        return self.pruning is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressiveSearchRequest(SearchRequest):
    """Grid → random → bayesian for one model run; an empty grid is the model type's default."""

    model_run_id: str
    initial_param_grid: JsonGrid = field(default_factory=dict)
    initial_param_grid_list: tuple[JsonGrid, ...] = ()
    scales: Mapping[str, str] = field(default_factory=dict)
    refinement_factor: float = DEFAULT_REFINEMENT_FACTOR
    refinement: str = FIXED
    explore: float = DEFAULT_EXPLORE
    distributions: Mapping[str, DistributionRequest] = field(default_factory=dict)
    search_space: SpaceRequest | None = None
    n_iter_random: int = 50
    n_iter_bayesian: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRequest(SearchRequest):
    """One method on several model runs; a model run without a grid has its model type's default."""

    model_run_ids: tuple[str, ...]
    tuning_method: str = "grid_search"
    param_grids: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    distributions: Mapping[str, Mapping[str, DistributionRequest]] = field(default_factory=dict)
    search_spaces: Mapping[str, SpaceRequest] = field(default_factory=dict)
    param_grid_lists: Mapping[str, tuple[JsonGrid, ...]] = field(default_factory=dict)
    scales: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    n_iter: int = 20
    parallel: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """What a client asks to try first.

    Attributes:
        points_to_try: JSON by parameter; parameters left out have their current values.
        try_current_parameters: None leaves it to the method: all but grid_search do, where they can.
        radius: of a local search, as a share of each range; None for the usual one.
    """

    points_to_try: Sequence[Mapping[str, Json]] = ()
    try_current_parameters: bool | None = None
    radius: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStageRequest:
    """One stage of a plan; None where the request left a field out, `parameters` empty for all."""

    method: str = ""
    n_iter: int | None = None
    parameters: tuple[str, ...] = ()
    refinement: str | None = None
    refinement_factor: float | None = None
    explore: float | None = None
    stopping: Mapping[str, float] = field(default_factory=dict)
    pruning: Mapping[str, Any] | None = None
    radius: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest(SearchRequest):
    """Stages that follow one another on several model runs; one without a grid has its default one.

    `points_to_try` and `try_current_parameters` are as in `StartRequest`, of the first stage.
    """

    model_run_ids: tuple[str, ...]
    stages: tuple[PlanStageRequest, ...]
    param_grids: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    distributions: Mapping[str, Mapping[str, DistributionRequest]] = field(default_factory=dict)
    search_spaces: Mapping[str, SpaceRequest] = field(default_factory=dict)
    param_grid_lists: Mapping[str, tuple[JsonGrid, ...]] = field(default_factory=dict)
    scales: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    points_to_try: Mapping[str, Sequence[Mapping[str, Json]]] = field(default_factory=dict)
    try_current_parameters: bool | None = None
    parallel: bool = True

    @property
    def prunes(self) -> bool:
        """Whether trials of any stage are to be stopped early."""
        return self.pruning is not None or any(each.pruning is not None for each in self.stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningRequest(SearchRequest):
    """One method on one model run."""

    model_run_id: str
    tuning_method: str = "grid_search"
    param_grid: JsonGrid = field(default_factory=dict)
    param_grid_list: tuple[JsonGrid, ...] = ()
    scales: Mapping[str, str] = field(default_factory=dict)
    distributions: Mapping[str, DistributionRequest] = field(default_factory=dict)
    search_space: SpaceRequest | None = None
    additional_metrics: tuple[str, ...] = ()
    n_iter: int = 20
    start: StartRequest = field(default_factory=StartRequest)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidationRequest(ScoringRequest):
    """One fixed point, several metrics; none asked for: the task's usual ones."""

    model_run_id: str
    parameters: Mapping[str, Json] = field(default_factory=dict)
    scoring_metrics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionRequest:
    """How much more an orchestration gets; one addition at least is above 0."""

    orchestration_id: str
    additional_trials: int = 0
    additional_failed_trials: int = 0
    additional_seconds: float = 0.0
    additional_cost: float = 0.0

"""What clients ask for, with every default filled in, not yet checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

# JSON as a person wrote it: every number is a float, whatever the parameter's type.
Json: TypeAlias = object
JsonGrid: TypeAlias = Mapping[str, Sequence[Json]]

DEFAULT_RANDOM_STATE = 42


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestIdentity:
    """What makes a request safe to repeat.

    Attributes:
        request_id: the client's UUID, not yet checked; empty without one.
        body_hash: SHA-256 of the explicitly set fields, without request_id and validate_only.
        spec_hash: as `body_hash`, with the RPC's name: what requests of one study name must share.
        validate_only: check and plan, create nothing.
    """

    rpc: str
    request_id: str
    body_hash: bytes
    spec_hash: bytes
    validate_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """What all searches share; `max_concurrent_trials` 0 for no limit, `scoring_metric` empty for the task's."""

    cv_folds: int = 5
    scoring_metric: str = ""
    random_state: int = DEFAULT_RANDOM_STATE
    max_concurrent_trials: int = 0
    study_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressiveSearchRequest(SearchRequest):
    """Grid → random → bayesian for one model run; an empty grid is the model type's default."""

    model_run_id: str
    initial_param_grid: JsonGrid = field(default_factory=dict)
    refinement_factor: float = 0.3
    n_iter_random: int = 50
    n_iter_bayesian: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRequest(SearchRequest):
    """One method on several model runs; a model run without a grid has its model type's default."""

    model_run_ids: tuple[str, ...]
    tuning_method: str = "grid_search"
    param_grids: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    n_iter: int = 20
    parallel: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningRequest(SearchRequest):
    """One method on one model run."""

    model_run_id: str
    tuning_method: str = "grid_search"
    param_grid: JsonGrid = field(default_factory=dict)
    additional_metrics: tuple[str, ...] = ()
    n_iter: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidationRequest:
    """One fixed point, several metrics; none asked for: the task's usual ones."""

    model_run_id: str
    parameters: Mapping[str, Json] = field(default_factory=dict)
    cv_folds: int = 5
    scoring_metrics: tuple[str, ...] = ()
    random_state: int = DEFAULT_RANDOM_STATE

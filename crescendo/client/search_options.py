"""Options that every way of starting a search takes, and their fields in the requests."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from crescendo.client.model import Budget, Pruning, Selection, Splitter, StoppingRules
from crescendo.client.requests import (
    budget_to_proto,
    config_type_to_proto,
    optional_fields,
    pruning_to_proto,
    selection_to_proto,
    space_type_to_proto,
    splitter_to_proto,
    stopping_to_proto,
)
from crescendo.client.spaces import (
    Distribution,
    GivenSpace,
    distributions_to_proto,
    space_to_proto,
)
from crescendo.client.values import (
    Grids,
    Parameters,
    grid_lists_to_proto,
    grids_to_structs,
    json_value,
)
from tuning.v1 import search_space_pb2 as space_pb
from tuning.v1 import tuning_service_pb2 as tuning_rpc


class ScoringOptions(TypedDict, total=False):
    """How trials are scored and by whom; None leaves each to the server.

    Attributes:
        cv_folds: folds of each trial.
        splitter: how rows are split, or its type.
        weighted_scoring: give the dataset's weights to the metrics too.
        return_train_scores: score each split's training part too.
        random_state: seeds the search and the estimators.
        worker_class: the workers that run the trials.
        request_id: asking again with the same UUID starts nothing again; a new one by default.
        validate_only: check and plan, start nothing.
    """

    cv_folds: int | None
    splitter: Splitter | str | None
    weighted_scoring: bool | None
    return_train_scores: bool | None
    random_state: int | None
    worker_class: str | None
    request_id: str | None
    validate_only: bool


class SearchOptions(ScoringOptions, total=False):
    """What every search may be told; None leaves each to the server.

    Attributes:
        scoring_metric: the scikit-learn scorer to maximise.
        grid_resolution: how many values a grid search tries of a range without a step.
        max_concurrent_trials: 0 for no limit.
        budget: what it may use up.
        stopping: what ends all of it early.
        pruning: what stops trials early, or its rule.
        selection: what of the candidates is the best model.
        priority: higher is served before lower.
        study_name: started again under its name it is returned; with more trials it goes on.
    """

    scoring_metric: str | None
    grid_resolution: int | None
    max_concurrent_trials: int | None
    budget: Budget | None
    stopping: StoppingRules | None
    pruning: Pruning | str | None
    selection: Selection | None
    priority: int | None
    study_name: str | None


class PresetOptions(SearchOptions, total=False):
    """As `SearchOptions`, where presets stand in for what is not given.

    Attributes:
        space_type: a preset space instead of the default grid: `conservative`, `default` or `aggressive`.
        config_type: trials and time where they are not given, by the same names.
    """

    space_type: str | None
    config_type: str | None


_CONVERSIONS: dict[str, Any] = {
    "splitter": splitter_to_proto,
    "budget": budget_to_proto,
    "stopping": stopping_to_proto,
    "stage_stopping": stopping_to_proto,
    "pruning": pruning_to_proto,
    "selection": selection_to_proto,
    "space_type": space_type_to_proto,
    "config_type": config_type_to_proto,
}


def option_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """Gives the fields of options that were given, whose names are the options'.

    Raises:
        InvalidRequest: a name is not one of those it may be.
    """
    given = dict(options)
    request_id = given.pop("request_id", None) or str(uuid.uuid4())
    made = {
        name: _CONVERSIONS[name](value) if name in _CONVERSIONS else value
        for name, value in given.items()
    }
    return {"request_id": request_id, **optional_fields(**made)}


def points_to_proto(points: Sequence[Parameters]) -> list[tuning_rpc.PointToTry]:
    """Makes the messages of points to try first."""
    return [
        tuning_rpc.PointToTry(parameters={name: json_value(value) for name, value in each.items()})
        for each in points
    ]


def spaces_by_model_run(
    *,
    grids: Mapping[str, Grids] | None,
    distributions: Mapping[str, Mapping[str, Distribution]] | None,
    search_spaces: Mapping[str, GivenSpace] | None,
    scales: Mapping[str, Mapping[str, str]] | None,
) -> dict[str, Any]:
    """Gives the fields of several model runs' spaces, by their ids."""
    return {
        "param_grids": grids_to_structs(grids),
        "param_grid_lists": grid_lists_to_proto(grids),
        "distributions": {
            key: space_pb.Distributions(parameters=distributions_to_proto(each))
            for key, each in (distributions or {}).items()
        },
        "search_spaces": {key: space_to_proto(each) for key, each in (search_spaces or {}).items()},
        "scales": {
            key: space_pb.ParameterScales(parameters=each) for key, each in (scales or {}).items()
        },
    }

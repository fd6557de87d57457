"""Reads clients' requests: protobuf messages to what the use cases take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from google.protobuf import struct_pb2
from google.protobuf.message import Message

from services.common.convert.objectives import splitter_from_proto
from services.common.convert.pruning import step_kind_from_proto
from services.common.convert.selections import preference_from_proto
from services.common.convert.values import grid_from_proto, grids_from_proto, json_from_proto
from services.coordinator.adapters.request_presets import (
    preset_fields,
    set_fields,
    stage_trials,
    tuning_trials,
)
from services.coordinator.adapters.space_reader import read_distributions, read_search_space
from services.coordinator.service.requests import (
    ComparisonRequest,
    CrossValidationRequest,
    ExtensionRequest,
    PlanRequest,
    PlanStageRequest,
    ProgressiveSearchRequest,
    SelectionRequest,
    StartRequest,
    TuningRequest,
)
from services.core.splitting import Splitter
from tuning.v1 import orchestration_service_pb2, search_space_pb2, tuning_service_pb2

_SHARED = (
    "weighted_scoring",
    "return_train_scores",
    "max_concurrent_trials",
    "study_name",
    "priority",
    "worker_class",
    "grid_resolution",
)


def read_progressive_search(
    message: orchestration_service_pb2.StartProgressiveSearchRequest,
) -> ProgressiveSearchRequest:
    """Reads a progressive search."""
    return ProgressiveSearchRequest(
        model_run_id=message.model_run_id,
        initial_param_grid=grid_from_proto(message.initial_param_grid),
        initial_param_grid_list=_grids(message.initial_param_grid_list),
        scales=dict(message.scales),
        distributions=read_distributions(message.distributions),
        search_space=read_search_space(message.search_space)
        if message.HasField("search_space")
        else None,
        **_given(
            message,
            "refinement_factor",
            "refinement",
            "explore",
            "cv_folds",
            "scoring_metric",
            "n_iter_random",
            "n_iter_bayesian",
            "random_state",
            *_SHARED,
            defaults=stage_trials(message),
        ),
        **preset_fields(message),
        splitter=_splitter(message),
        stopping=set_fields(message.stopping),
        stage_stopping=set_fields(message.stage_stopping),
        pruning=_pruning(message),
        selection=_selection(message),
    )


def read_comparison(
    message: orchestration_service_pb2.StartMultiModelComparisonRequest,
) -> ComparisonRequest:
    """Reads a comparison."""
    return ComparisonRequest(
        model_run_ids=tuple(message.model_run_ids),
        param_grids=grids_from_proto(message.param_grids),
        distributions={
            run: read_distributions(message.distributions[run].parameters)
            for run in sorted(message.distributions)
        },
        search_spaces={
            run: read_search_space(message.search_spaces[run])
            for run in sorted(message.search_spaces)
        },
        param_grid_lists={
            run: _grids(message.param_grid_lists[run].grids)
            for run in sorted(message.param_grid_lists)
        },
        scales={run: dict(message.scales[run].parameters) for run in sorted(message.scales)},
        **_given(
            message,
            "tuning_method",
            "cv_folds",
            "scoring_metric",
            "n_iter",
            "parallel",
            "random_state",
            *_SHARED,
            defaults=tuning_trials(message),
        ),
        **preset_fields(message),
        splitter=_splitter(message),
        stopping=set_fields(message.stopping),
        stage_stopping=set_fields(message.stage_stopping),
        pruning=_pruning(message),
        selection=_selection(message),
    )


def read_plan(message: orchestration_service_pb2.StartPlanRequest) -> PlanRequest:
    """Reads a plan of stages."""
    return PlanRequest(
        model_run_ids=tuple(message.model_run_ids),
        param_grids=grids_from_proto(message.param_grids),
        distributions={
            run: read_distributions(message.distributions[run].parameters)
            for run in sorted(message.distributions)
        },
        search_spaces={
            run: read_search_space(message.search_spaces[run])
            for run in sorted(message.search_spaces)
        },
        param_grid_lists={
            run: _grids(message.param_grid_lists[run].grids)
            for run in sorted(message.param_grid_lists)
        },
        scales={run: dict(message.scales[run].parameters) for run in sorted(message.scales)},
        stages=tuple(_stage(each) for each in message.stages),
        points_to_try={
            run: [_json_point(each.parameters) for each in message.points_to_try[run].points]
            for run in sorted(message.points_to_try)
        },
        **_given(
            message,
            "cv_folds",
            "scoring_metric",
            "parallel",
            "random_state",
            "try_current_parameters",
            *_SHARED,
        ),
        **preset_fields(message),
        splitter=_splitter(message),
        pruning=_pruning(message),
        selection=_selection(message),
        stopping=set_fields(message.stopping),
    )


def _grids(messages: Iterable[search_space_pb2.ParamGrid]) -> tuple[dict[str, list[Any]], ...]:
    return tuple(grid_from_proto(each.values) for each in messages)


def _stage(message: orchestration_service_pb2.PlanStage) -> PlanStageRequest:
    return PlanStageRequest(
        method=message.method,
        parameters=tuple(message.parameters),
        stopping=set_fields(message.stopping),
        pruning=_pruning(message),
        **_given(message, "n_iter", "refinement", "refinement_factor", "explore", "radius"),
    )


def read_tuning(message: tuning_service_pb2.StartTuningRequest) -> TuningRequest:
    """Reads a tuning."""
    return TuningRequest(
        model_run_id=message.model_run_id,
        param_grid=grid_from_proto(message.param_grid),
        param_grid_list=_grids(message.param_grid_list),
        scales=dict(message.scales),
        distributions=read_distributions(message.distributions),
        search_space=read_search_space(message.search_space)
        if message.HasField("search_space")
        else None,
        additional_metrics=tuple(message.additional_metrics),
        start=StartRequest(
            points_to_try=[_json_point(each.parameters) for each in message.points_to_try],
            **_given(message, "try_current_parameters", "radius"),
        ),
        **_given(
            message,
            "tuning_method",
            "cv_folds",
            "scoring_metric",
            "n_iter",
            "random_state",
            *_SHARED,
            defaults=tuning_trials(message),
        ),
        **preset_fields(message),
        splitter=_splitter(message),
        stopping=set_fields(message.stopping),
        pruning=_pruning(message),
        selection=_selection(message),
    )


def read_cross_validation(
    message: tuning_service_pb2.StartCrossValidationRequest,
) -> CrossValidationRequest:
    """Reads a cross-validation."""
    return CrossValidationRequest(
        model_run_id=message.model_run_id,
        parameters=_json_point(message.parameters),
        scoring_metrics=tuple(message.scoring_metrics),
        splitter=_splitter(message),
        **_given(
            message,
            "cv_folds",
            "random_state",
            "worker_class",
            "weighted_scoring",
            "return_train_scores",
        ),
    )


def read_extension(
    message: orchestration_service_pb2.ExtendOrchestrationRequest,
) -> ExtensionRequest:
    """Reads an extension."""
    return ExtensionRequest(
        orchestration_id=message.orchestration_id,
        **_given(
            message,
            "additional_trials",
            "additional_failed_trials",
            "additional_seconds",
            "additional_cost",
        ),
    )


def _splitter(message: Any) -> Splitter | None:
    return splitter_from_proto(message.splitter) if message.HasField("splitter") else None


def _pruning(message: Any) -> dict[str, Any] | None:
    if not message.HasField("pruning"):
        return None
    asked: dict[str, Any] = {field.name: value for field, value in message.pruning.ListFields()}
    if "step_kind" in asked:
        with suppress(ValueError):
            # One that is not known is refused by its number.
            asked["step_kind"] = step_kind_from_proto(asked["step_kind"])
    return asked


def _selection(message: Any) -> SelectionRequest | None:
    if not message.HasField("selection"):
        return None
    return SelectionRequest(
        rule=message.selection.rule,
        simpler=tuple(
            (each.parameter, preference_from_proto(each.prefer))
            for each in message.selection.simpler
        ),
    )


def _given(
    message: Message, *names: str, defaults: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    return dict(defaults or {}) | {
        name: getattr(message, name) for name in names if message.HasField(name)
    }


def _json_point(parameters: Mapping[str, struct_pb2.Value]) -> dict[str, object]:
    return {name: json_from_proto(parameters[name]) for name in sorted(parameters)}

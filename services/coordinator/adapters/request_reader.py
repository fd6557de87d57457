"""Reads clients' requests: protobuf messages to what the use cases take, and their hashes."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from services.common.convert.values import grid_from_proto, grids_from_proto, json_from_proto
from services.coordinator.service.requests import (
    ComparisonRequest,
    CrossValidationRequest,
    ProgressiveSearchRequest,
    RequestIdentity,
    TuningRequest,
)
from tuning.v1 import orchestration_service_pb2, tuning_service_pb2

# They say how to take a request, not what it asks for.
_NOT_THE_BODY = frozenset({"request_id", "validate_only"})


def read_progressive_search(
    message: orchestration_service_pb2.StartProgressiveSearchRequest,
) -> ProgressiveSearchRequest:
    """Reads a progressive search."""
    return ProgressiveSearchRequest(
        model_run_id=message.model_run_id,
        initial_param_grid=grid_from_proto(message.initial_param_grid),
        **_given(
            message,
            "refinement_factor",
            "cv_folds",
            "scoring_metric",
            "n_iter_random",
            "n_iter_bayesian",
            "random_state",
            "max_concurrent_trials",
            "study_name",
        ),
    )


def read_comparison(
    message: orchestration_service_pb2.StartMultiModelComparisonRequest,
) -> ComparisonRequest:
    """Reads a comparison."""
    return ComparisonRequest(
        model_run_ids=tuple(message.model_run_ids),
        param_grids=grids_from_proto(message.param_grids),
        **_given(
            message,
            "tuning_method",
            "cv_folds",
            "scoring_metric",
            "n_iter",
            "parallel",
            "random_state",
            "max_concurrent_trials",
            "study_name",
        ),
    )


def read_tuning(message: tuning_service_pb2.StartTuningRequest) -> TuningRequest:
    """Reads a tuning."""
    return TuningRequest(
        model_run_id=message.model_run_id,
        param_grid=grid_from_proto(message.param_grid),
        additional_metrics=tuple(message.additional_metrics),
        **_given(
            message,
            "tuning_method",
            "cv_folds",
            "scoring_metric",
            "n_iter",
            "random_state",
            "max_concurrent_trials",
            "study_name",
        ),
    )


def read_cross_validation(
    message: tuning_service_pb2.StartCrossValidationRequest,
) -> CrossValidationRequest:
    """Reads a cross-validation."""
    parameters = message.parameters
    return CrossValidationRequest(
        model_run_id=message.model_run_id,
        parameters={name: json_from_proto(parameters[name]) for name in sorted(parameters)},
        scoring_metrics=tuple(message.scoring_metrics),
        **_given(message, "cv_folds", "random_state"),
    )


def read_identity(rpc: str, message: Any) -> RequestIdentity:
    """Reads what makes a request safe to repeat."""
    body = {
        name: value for name, value in _plain_message(message).items() if name not in _NOT_THE_BODY
    }
    return RequestIdentity(
        rpc=rpc,
        request_id=message.request_id,
        body_hash=_digest(body),
        spec_hash=_digest({rpc: body}),
        validate_only=message.validate_only,
    )


def _given(message: Message, *names: str) -> dict[str, Any]:
    return {name: getattr(message, name) for name in names if message.HasField(name)}


def _digest(body: dict[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()


def _plain_message(message: Message) -> dict[str, Any]:
    # protobuf's own JSON refuses NaN, and its binary form has no promised order of map entries.
    return {field.name: _plain_field(field, value) for field, value in message.ListFields()}


def _plain_field(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return {str(key): _plain_single(inner, value[key]) for key in value}
    if field.is_repeated:
        return [_plain_single(field, each) for each in value]
    return _plain_single(field, value)


def _plain_single(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return _plain_message(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value

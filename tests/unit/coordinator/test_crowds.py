"""Requests of very many parts, as they come over the wire."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from services.coordinator.adapters.crowds import MAX_PARTS, refuse_crowds
from services.core.errors import InvalidRequest
from tuning.v1 import orchestration_service_pb2, search_space_pb2, tuning_service_pb2

_MANY = MAX_PARTS + 1


def _conditions() -> Message:
    request = tuning_service_pb2.StartTuningRequest()
    parameter = request.search_space.parameters.add()
    parameter.further_conditions.extend([search_space_pb2.Condition()] * _MANY)
    return request


def _stages() -> Message:
    return orchestration_service_pb2.StartPlanRequest(
        stages=[orchestration_service_pb2.PlanStage()] * _MANY
    )


def _distributions() -> Message:
    request = tuning_service_pb2.StartTuningRequest()
    for place in range(_MANY):
        request.distributions[str(place)].type = "uniform"
    return request


def _spread() -> Message:
    """No list is long, but there are many."""
    request = orchestration_service_pb2.StartPlanRequest()
    for run in range(100):
        parameters = [search_space_pb2.Parameter()] * 250
        request.search_spaces[str(run)].parameters.extend(parameters)
    return request


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (_conditions(), "search_space.parameters.further_conditions"),
        (_stages(), "stages"),
        (_distributions(), "distributions"),
        (_spread(), "search_spaces.parameters"),
    ],
)
def test_a_request_of_too_many_parts_is_refused_by_where_they_are(
    request_: Message, field: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        refuse_crowds(request_)
    (problem,) = raised.value.violations
    assert problem.field == field
    assert "more than 20,000 parts" in problem.description


def test_long_lists_of_values_are_no_crowd() -> None:
    request = tuning_service_pb2.StartTuningRequest(additional_metrics=["accuracy"] * _MANY)
    for place in range(_MANY):
        request.param_grid["C"].values.add().number_value = place
        request.scales[str(place)] = "log"
    parameter = request.search_space.parameters.add()
    parameter.choices.values.extend([search_space_pb2.ParameterValue(int_value=1)] * _MANY)
    refuse_crowds(request)
    refuse_crowds(tuning_service_pb2.StartTuningRequest())

"""What `crescendo search plan`, and a comparison by model type, ask the server for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent import futures

import grpc
import pytest

from tests.unit.crescendo import messages
from tests.unit.crescendo.command_line import run
from tuning.v1 import model_pb2 as model_pb
from tuning.v1 import model_service_pb2 as model_rpc
from tuning.v1 import model_service_pb2_grpc as model_grpc
from tuning.v1 import orchestration_service_pb2 as rpc
from tuning.v1 import orchestration_service_pb2_grpc as orchestration_grpc
from tuning.v1 import presets_pb2

PLAN = {
    "grids": {"svm_classifier": {"kernel": ["rbf"]}},
    "distributions": {"svm_classifier": {"C": "loguniform(0.01, 100)"}},
    "scales": {"svm_classifier": {"gamma": "linear"}},
    "points": {"svm_classifier": [{"C": 10}]},
    "stages": [
        {"method": "sobol", "pruning": {"keep": 3}},
        {"method": "local", "radius": 0.1},
    ],
}


class _Services(orchestration_grpc.OrchestrationServiceServicer, model_grpc.ModelServiceServicer):
    """Keeps what it was asked; every model run but one is a support vector machine."""

    def __init__(self) -> None:
        self.asked: list[rpc.StartPlanRequest] = []
        self.compared: list[rpc.StartMultiModelComparisonRequest] = []
        self.made: list[str] = []

    def StartPlan(
        self, request: rpc.StartPlanRequest, context: grpc.ServicerContext
    ) -> rpc.StartPlanResponse:
        self.asked.append(request)
        return rpc.StartPlanResponse(orchestration=messages.progressive_search())

    def StartMultiModelComparison(
        self, request: rpc.StartMultiModelComparisonRequest, context: grpc.ServicerContext
    ) -> rpc.StartMultiModelComparisonResponse:
        self.compared.append(request)
        return rpc.StartMultiModelComparisonResponse(orchestration=messages.progressive_search())

    def GetModelRun(
        self, request: model_rpc.GetModelRunRequest, context: grpc.ServicerContext
    ) -> model_rpc.GetModelRunResponse:
        kind = "ridge" if request.model_run_id == "other" else "svm_classifier"
        return model_rpc.GetModelRunResponse(
            model_run=model_pb.ModelRun(model_run_id=request.model_run_id, model_type=kind)
        )

    def CreateModelRun(
        self, request: model_rpc.CreateModelRunRequest, context: grpc.ServicerContext
    ) -> model_rpc.CreateModelRunResponse:
        if request.model_type not in ("ridge", "svm_classifier"):
            code = grpc.StatusCode.INVALID_ARGUMENT
            wrong = [("model_type", f"{request.model_type!r} is not known")]
            messages.refuse(context, code, messages.refusal(code, "one", "INVALID_REQUEST", wrong))
        if not request.validate_only:
            self.made.append(request.model_type)
        return model_rpc.CreateModelRunResponse(
            model_run=model_pb.ModelRun(model_run_id="made", model_type=request.model_type)
        )


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Services]:
    servicer = _Services()  # type: ignore[abstract]  # the calls no test makes are left out
    server = grpc.server(futures.ThreadPoolExecutor(2))
    orchestration_grpc.add_OrchestrationServiceServicer_to_server(servicer, server)
    model_grpc.add_ModelServiceServicer_to_server(servicer, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    monkeypatch.setenv("CRESCENDO_COORDINATOR_ADDRESS", address)
    monkeypatch.setenv("CRESCENDO_STORE_ADDRESS", address)
    yield servicer
    server.stop(0).wait()


def test_what_a_file_says_of_a_model_type_goes_to_the_model_runs_of_that_type(
    services: _Services,
) -> None:
    command = ["search", "plan", json.dumps(PLAN), "one", "other", "--detach"]
    assert run(*command, "--config-type", "default", "--no-baseline") == 0
    (asked,) = services.asked
    assert list(asked.model_run_ids) == ["one", "other"]
    assert (
        list(asked.param_grids) == list(asked.distributions) == list(asked.points_to_try) == ["one"]
    )
    assert list(asked.scales) == ["one"]
    assert asked.scales["one"].parameters == {"gamma": "linear"}
    (point,) = asked.points_to_try["one"].points
    assert point.parameters["C"].number_value == 10
    assert asked.config_type == presets_pb2.CONFIG_TYPE_DEFAULT
    assert asked.HasField("try_current_parameters")
    assert not asked.try_current_parameters
    sobol, local = asked.stages
    assert (sobol.pruning.rule, sobol.pruning.keep) == ("lossless", 3)
    assert (local.method, local.radius) == ("local", 0.1)
    assert not local.HasField("pruning")


def test_a_comparison_takes_scales_as_a_plan_does(services: _Services) -> None:
    scales = '{"svm_classifier": {"C": "linear"}}'
    assert run("search", "compare", "one", "other", "--scales", scales, "--detach") == 0
    (asked,) = services.compared
    assert list(asked.model_run_ids) == ["one", "other"]
    assert {run: dict(each.parameters) for run, each in asked.scales.items()} == {
        "one": {"C": "linear"}
    }
    assert run("search", "compare", "one", "--scales", '{"C": "linear"}', "--detach") == 2


def test_a_file_that_names_ids_asks_for_no_types(services: _Services) -> None:
    plan = {"grids": {"one": {"C": [1, 2]}}, "stages": [{"method": "grid_search"}]}
    assert run("search", "plan", json.dumps(plan), "one", "--detach") == 0
    (asked,) = services.asked
    assert list(asked.param_grids) == ["one"]
    assert not asked.HasField("try_current_parameters")


def test_all_that_is_wrong_with_compared_models_is_told_before_any_is_made(
    services: _Services, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ("--model", "ridge", "--model", "rigde", "--model", "svmm")
    assert run("search", "compare", "--dataset", "sklearn:wine", *models, "--detach") == 2
    wrong = capsys.readouterr().err.splitlines()
    assert wrong[:3] == [
        "error: the request is invalid, in 2 places:",
        "  --model rigde: model_type: 'rigde' is not known",
        "  --model svmm: model_type: 'svmm' is not known",
    ]
    assert services.made == []
    both = ("--model", "ridge", "--model", "svm_classifier")
    assert run("search", "compare", "--dataset", "sklearn:wine", *both, "--detach") == 0
    assert services.made == ["ridge", "svm_classifier"]

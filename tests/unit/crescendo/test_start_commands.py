"""Commands that start or extend a search, as they reach the coordinator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.unit.crescendo import messages
from tests.unit.crescendo.command_line import run
from tuning.v1 import dataset_pb2 as dataset_pb
from tuning.v1 import dataset_service_pb2 as dataset_rpc
from tuning.v1 import dataset_service_pb2_grpc as dataset_grpc
from tuning.v1 import model_service_pb2 as model_rpc
from tuning.v1 import model_service_pb2_grpc as model_grpc
from tuning.v1 import orchestration_pb2 as orchestration_pb
from tuning.v1 import orchestration_service_pb2 as orchestration_rpc
from tuning.v1 import orchestration_service_pb2_grpc as orchestration_grpc
from tuning.v1 import presets_pb2 as presets_pb
from tuning.v1 import tuning_service_pb2 as tuning_rpc
from tuning.v1 import tuning_service_pb2_grpc as tuning_grpc

pytestmark = pytest.mark.usefixtures("elsewhere")


class _Coordinator(
    orchestration_grpc.OrchestrationServiceServicer, tuning_grpc.TuningServiceServicer
):
    """Keeps what it was asked, and answers with a search."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def StartTuning(
        self, request: tuning_rpc.StartTuningRequest, context: grpc.ServicerContext
    ) -> tuning_rpc.StartTuningResponse:
        self.asked.append(request)
        return tuning_rpc.StartTuningResponse(orchestration=messages.progressive_search())

    def ExtendOrchestration(
        self,
        request: orchestration_rpc.ExtendOrchestrationRequest,
        context: grpc.ServicerContext,
    ) -> orchestration_rpc.ExtendOrchestrationResponse:
        self.asked.append(request)
        return orchestration_rpc.ExtendOrchestrationResponse(
            orchestration=messages.progressive_search()
        )


@pytest.fixture
def coordinator(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Coordinator]:
    servicer = _Coordinator()  # type: ignore[abstract]  # the calls no test makes are left out
    server = grpc.server(futures.ThreadPoolExecutor(2))
    orchestration_grpc.add_OrchestrationServiceServicer_to_server(servicer, server)
    tuning_grpc.add_TuningServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("CRESCENDO_COORDINATOR_ADDRESS", f"127.0.0.1:{port}")
    yield servicer
    server.stop(0).wait()


def test_limits_priority_and_class_reach_the_request(
    coordinator: _Coordinator, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = "--max-trials 20 --max-failed 0 --max-time 1h30m --max-cost 2.5 --price 0.6"
    others = "--trial-timeout 30s --priority -5 --worker-class gpu --detach"
    assert run("search", "tune", "model-run", *limits.split(), *others.split()) == 0
    (asked,) = coordinator.asked
    assert asked.budget == orchestration_pb.Budget(
        max_trials=20,
        max_failed_trials=0,
        max_seconds=5400,
        max_cost=2.5,
        price_per_hour=0.6,
        trial_timeout_seconds=30,
    )
    assert (asked.priority, asked.worker_class) == (-5, "gpu")
    assert messages.ID in capsys.readouterr().out


def test_presets_reach_the_request_and_unknown_ones_are_told(
    coordinator: _Coordinator, capsys: pytest.CaptureFixture[str]
) -> None:
    presets = ("--space-type", "aggressive", "--config-type", "conservative")
    assert run("search", "tune", "model-run", *presets, "--detach") == 0
    (asked,) = coordinator.asked
    assert asked.space_type == presets_pb.SPACE_TYPE_AGGRESSIVE
    assert asked.config_type == presets_pb.CONFIG_TYPE_CONSERVATIVE
    assert run("search", "tune", "model-run", "--space-type", "huge", "--detach") == 2
    assert "'huge' is not one of conservative, default, aggressive" in capsys.readouterr().err


def test_train_scores_and_selection_reach_the_request(
    coordinator: _Coordinator, capsys: pytest.CaptureFixture[str]
) -> None:
    simpler = ("--simpler", "C=lower", "--simpler", "tol=higher")
    assert run("search", "tune", "model-run", "--train-scores", *simpler, "--detach") == 0
    (asked,) = coordinator.asked
    assert asked.return_train_scores
    assert asked.selection == orchestration_pb.Selection(
        rule="one_standard_error",
        simpler=[
            orchestration_pb.SimplerParameter(
                parameter="C", prefer=orchestration_pb.SIMPLER_VALUES_LOWER
            ),
            orchestration_pb.SimplerParameter(
                parameter="tol", prefer=orchestration_pb.SIMPLER_VALUES_HIGHER
            ),
        ],
    )
    assert run("search", "tune", "model-run", "--simpler", "C=smaller", "--detach") == 2
    assert "NAME=lower or NAME=higher" in " ".join(capsys.readouterr().err.split())


def test_roles_of_columns_go_with_a_file_that_is_uploaded(
    coordinator: _Coordinator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    headers = []

    class Catalogue(dataset_grpc.DatasetServiceServicer, model_grpc.ModelServiceServicer):
        def UploadDataset(
            self,
            request_iterator: Iterator[dataset_rpc.UploadDatasetRequest],
            context: grpc.ServicerContext,
        ) -> dataset_rpc.UploadDatasetResponse:
            headers.append(next(request_iterator).header)
            return dataset_rpc.UploadDatasetResponse(dataset=dataset_pb.Dataset(dataset_id="d"))

        def CreateModelRun(
            self, request: model_rpc.CreateModelRunRequest, context: grpc.ServicerContext
        ) -> model_rpc.CreateModelRunResponse:
            return model_rpc.CreateModelRunResponse()

    server = grpc.server(futures.ThreadPoolExecutor(2))
    catalogue = Catalogue()  # type: ignore[abstract]  # the calls this test does not make are left out
    dataset_grpc.add_DatasetServiceServicer_to_server(catalogue, server)
    model_grpc.add_ModelServiceServicer_to_server(catalogue, server)
    monkeypatch.setenv(
        "CRESCENDO_STORE_ADDRESS", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    )
    server.start()
    table = tmp_path / "visits.csv"
    table.write_text("age,site,ill\n1,a,yes\n")
    roles = ("--group-column", "site", "--positive-label", "yes")
    model = ("--model", "svm_classifier", "--detach")
    tune = ("search", "tune", "--dataset")
    assert run(*tune, str(table), "--target", "ill", *roles, *model) == 0
    (header,) = headers
    assert header.target_column == "ill"
    assert header.roles == dataset_pb.DatasetRoles(group_column="site", positive_label="yes")
    assert run(*tune, "sklearn:wine", *roles, *model) == 2
    error = " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().err).split())
    assert "--group-column, --positive-label are for files" in error
    server.stop(0).wait()


def test_without_limits_the_server_decides(coordinator: _Coordinator) -> None:
    assert run("search", "tune", "model-run", "--detach") == 0
    (asked,) = coordinator.asked
    assert asked.space_type == presets_pb.SPACE_TYPE_UNSPECIFIED
    assert asked.config_type == presets_pb.CONFIG_TYPE_UNSPECIFIED
    assert not asked.HasField("budget")
    assert not asked.HasField("priority")
    assert not asked.HasField("worker_class")


def test_extend_adds_what_is_asked_and_says_how_to_follow(
    coordinator: _Coordinator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("extend", messages.ID, "--trials", "5", "--time", "10m") == 0
    (asked,) = coordinator.asked
    assert (asked.orchestration_id, asked.additional_trials) == (messages.ID, 5)
    assert asked.additional_seconds == 600
    assert not asked.HasField("additional_cost")
    assert asked.request_id
    assert f"crescendo watch {messages.ID}" in capsys.readouterr().out


def test_a_time_span_nobody_understands_names_its_option(
    coordinator: _Coordinator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("search", "tune", "model-run", "--max-time", "soon") == 2
    error = capsys.readouterr().err
    assert "--max-time" in error
    assert "1h30m" in error
    assert coordinator.asked == []


def test_pruning_reaches_the_request_and_keeping_needs_it(
    coordinator: _Coordinator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("search", "tune", "model-run", "--prune", "lossless", "--detach") == 0
    assert run("search", "tune", "model-run", "--prune", "bold", "--keep", "5", "--detach") == 0
    assert [each.pruning for each in coordinator.asked] == [
        orchestration_pb.Pruning(rule="lossless"),
        # What rules there are is the server's to know.
        orchestration_pb.Pruning(rule="bold", keep=5),
    ]
    assert run("search", "tune", "model-run", "--keep", "5", "--detach") == 2
    assert "needs --prune" in capsys.readouterr().err

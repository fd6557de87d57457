"""The command line against a real server: output, exit codes, errors without tracebacks."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest

from crescendo.cli.main import main
from services.core.metrics import METRICS
from services.core.model_catalog import MODEL_TYPES
from services.core.preprocessing_types import STEP_TYPES
from testbed.addresses import free_port
from tests.unit.crescendo import messages
from tuning.v1 import dataset_pb2 as dataset_pb
from tuning.v1 import dataset_service_pb2 as dataset_rpc
from tuning.v1 import dataset_service_pb2_grpc as dataset_grpc
from tuning.v1 import model_service_pb2 as model_rpc
from tuning.v1 import model_service_pb2_grpc as model_grpc
from tuning.v1 import orchestration_pb2 as orchestration_pb
from tuning.v1 import orchestration_service_pb2 as orchestration_rpc
from tuning.v1 import orchestration_service_pb2_grpc as orchestration_grpc
from tuning.v1 import presets_pb2 as presets_pb
from tuning.v1 import run_service_pb2 as run_pb
from tuning.v1 import search_space_pb2 as space_pb
from tuning.v1 import tuning_service_pb2 as tuning_rpc
from tuning.v1 import tuning_service_pb2_grpc as tuning_grpc

LOG = [
    *(messages.finished(number, number) for number in range(3, 7)),
    messages.improved(7, 0.97),
    messages.ended(8),
]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No services of this machine are found."""
    monkeypatch.setenv("CRESCENDO_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.delenv("CRESCENDO_COORDINATOR_ADDRESS", raising=False)
    monkeypatch.setenv("CRESCENDO_STORE_ADDRESS", f"127.0.0.1:{free_port()}")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[messages.ScriptedStore]:
    whole = messages.progressive_search()
    whole.best.CopyFrom(messages.best(0.97))
    scripted = messages.ScriptedStore(whole, LOG, [2])
    with messages.serving(scripted) as address:
        monkeypatch.setenv("CRESCENDO_STORE_ADDRESS", address)
        yield scripted


def _run(*args: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(args)
    code = caught.value.code
    assert isinstance(code, int)
    return code


def test_watch_follows_to_the_end_through_a_dropped_stream(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.orchestration.state = orchestration_pb.LIFECYCLE_STATE_COMPLETED
    store.log[-1] = messages.ended(8)
    code = _run("watch", messages.ID)
    text = capsys.readouterr().out
    assert code == 0
    assert "connection lost" in text
    assert "stage 1 (grid search): 4/4 trials" in text
    assert "0.97000" in text


def test_the_end_of_a_pruned_search_says_how_many_fits_were_saved(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.orchestration.state = orchestration_pb.LIFECYCLE_STATE_COMPLETED
    run = store.orchestration.stages[0].tuning_runs[0]
    run.pruning.rule = "lossless"
    run.fits_saved = 1300
    assert _run("watch", messages.ID) == 0
    assert "Pruning: stage 1: lossless, keeps the best 1; 1,300 fits saved." in (
        capsys.readouterr().out
    )


def test_watch_of_one_that_fails_exits_with_1(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = orchestration_pb.LIFECYCLE_STATE_FAILED
    store.log[-1] = messages.ended(8, failed, "all trials failed")
    store.orchestration.ClearField("best")
    store.orchestration.state = failed
    assert _run("watch", messages.ID) == 1
    assert "failed: all trials failed" in capsys.readouterr().out


def test_watch_as_json_is_one_object_a_line(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("watch", messages.ID, "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["type"] for line in lines[:2]] == ["snapshot", "trial_finished"]
    assert [line["sequence"] for line in lines] == [2, 3, 4, 5, 6, 7, 8]
    assert lines[-1]["state"] == "completed"
    assert lines[1]["split_scores"] == [0.9] * 5


def test_watch_as_json_goes_on_behind_a_sequence(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("watch", messages.ID, "--json", "--after", "6") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["sequence"] for line in lines] == [7, 8]


def test_ctrl_c_detaches_and_says_how_to_come_back(store: messages.ScriptedStore) -> None:
    # Bookmarks without an end: the watch waits for events that do not come.
    reached, ended = threading.Event(), threading.Event()

    class Waiting(messages.ScriptedStore):
        def WatchOrchestration(
            self, request: run_pb.WatchOrchestrationRequest, context: grpc.ServicerContext
        ) -> Iterator[run_pb.WatchOrchestrationResponse]:
            snapshot = run_pb.Snapshot(orchestration=self.orchestration)
            yield run_pb.WatchOrchestrationResponse(snapshot=snapshot)
            reached.set()
            context.add_callback(ended.set)
            ended.wait(20)

    with (
        messages.serving(Waiting(store.orchestration, [])) as address,
        subprocess.Popen(
            [sys.executable, "-m", "crescendo.cli.main", "watch", messages.ID, "--store", address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        ) as process,
    ):
        assert process.stdout is not None
        try:
            assert messages.ID in process.stdout.readline()
            assert reached.wait(60)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert f"crescendo watch {messages.ID}" in err
    assert "Traceback" not in err


def test_status_in_words_and_as_json(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    main_code = _run("status", messages.ID)
    assert main_code == 0
    assert "Progressive search" in capsys.readouterr().out
    assert _run("status", messages.ID, "--json") == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["orchestration_id"] == messages.ID
    assert whole["best"]["parameters"] == {
        "max_depth": None,
        "max_features": 0.3,
        "n_estimators": 50,
    }


def test_trials_come_from_all_pages(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("trials", messages.ID, "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["number"] for line in lines] == [0, 1, 2, 3, 4]
    assert lines[0]["parameters"]["layers"] == [100, 50]
    assert _run("trials", messages.ID, "--limit", "3") == 0
    assert "layers=(100, 50)" in capsys.readouterr().out


def test_refinements_list_and_best(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("refinements", messages.ID) == 0
    assert "narrowed" in capsys.readouterr().out
    assert _run("list") == 0
    assert messages.ID in capsys.readouterr().out
    assert _run("best", messages.ID) == 0
    assert "n_estimators" in capsys.readouterr().out


def test_history_shows_the_steps_and_what_another_trial_may_bring(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("history", messages.ID) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Stage 2: random search of svm_classifier 9 trials, mean 0.75000 ± 0.125;" in shown
    assert "may be expected to add 0.013" in shown or "may be expected to add 0.012" in shown
    assert "1 4 0.75000 3 7 0.87500 +0.125" in shown
    assert "Stage 3: bayesian of svm_classifier no trial has a score yet" in shown


def test_best_before_the_end_names_the_option(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(
        request: run_pb.GetBestModelRequest, context: grpc.ServicerContext
    ) -> run_pb.GetBestModelResponse:
        code = grpc.StatusCode.FAILED_PRECONDITION
        text = "it is RUNNING; set best_so_far to get the best model so far"
        messages.refuse(context, code, messages.refusal(code, text, "WRONG_STATE"))
        return run_pb.GetBestModelResponse()

    store.best_answer = refuse
    assert _run("best", messages.ID) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: it is RUNNING; use --so-far to get the best model so far\n")


def test_a_trial_is_shown_with_what_it_rests_on(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("trial", messages.ID, "4") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "from drawn at random, in the space refined around trial 3 by trials 3, 1" in text
    assert "refinement 1 max_depth narrowed" in text
    assert _run("trial", messages.ID, "4", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["trial"]["number"], found["lineage"]["evidence_trial_numbers"]) == (4, [3, 1])
    assert found["lineage"]["point_to_try"] is None


def test_two_trials_are_compared_in_words(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("compare-trials", messages.ID, "3", "4", "--with", "other") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "trial 3 is better than trial 4 of other beyond chance (p = 0.00046)" in text
    assert "difference +0.0625 95% interval +0.05 to +0.075" in text
    assert "Over folds made once it is a heuristic" in text
    assert _run("compare-trials", messages.ID, "3", "4", "--metric", "f1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["metric"], found["degrees_of_freedom"]) == ("f1", 4)
    assert found["interval_method"] == "corrected_t_heuristic"


def test_an_unknown_id_exits_with_2(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("status", "nonsense") == 2
    error, request_id = capsys.readouterr().err.splitlines()
    assert error == "error: there is no orchestration nonsense"
    assert re.fullmatch(r"  request id: [0-9a-f-]{36}", request_id)


def test_nobody_there_says_where_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    address = f"127.0.0.1:{free_port()}"
    assert _run("status", messages.ID, "--store", address) == 1
    err = capsys.readouterr().err
    assert f"the store does not answer at {address}" in err
    assert "crescendo up" in err


def test_every_violation_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    class Refusing(model_grpc.ModelServiceServicer):
        def CreateModelRun(
            self, request: model_rpc.CreateModelRunRequest, context: grpc.ServicerContext
        ) -> model_rpc.CreateModelRunResponse:
            code = grpc.StatusCode.INVALID_ARGUMENT
            wrong = [("model_type", "'x' is not known"), ("dataset_id", "there is no 'y'")]
            messages.refuse(context, code, messages.refusal(code, "two", "INVALID_REQUEST", wrong))
            return model_rpc.CreateModelRunResponse()

        def GetModelRun(
            self, request: model_rpc.GetModelRunRequest, context: grpc.ServicerContext
        ) -> model_rpc.GetModelRunResponse:
            return model_rpc.GetModelRunResponse()

        def ListModelRuns(
            self, request: model_rpc.ListModelRunsRequest, context: grpc.ServicerContext
        ) -> model_rpc.ListModelRunsResponse:
            return model_rpc.ListModelRunsResponse()

        def ListModelTypes(
            self, request: model_rpc.ListModelTypesRequest, context: grpc.ServicerContext
        ) -> model_rpc.ListModelTypesResponse:
            return model_rpc.ListModelTypesResponse()

    server = grpc.server(futures.ThreadPoolExecutor(1))
    model_grpc.add_ModelServiceServicer_to_server(Refusing(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        code = _run("models", "create", "x", "--dataset", "y", "--store", f"127.0.0.1:{port}")
    finally:
        server.stop(0).wait()
    assert code == 2
    *lines, request_id = capsys.readouterr().err.splitlines()
    assert lines == [
        "error: the request is invalid, in 2 places:",
        "  model_type: 'x' is not known",
        "  dataset_id: there is no 'y'",
    ]
    assert request_id.startswith("  request id: ")


def test_model_types_are_shown_with_what_is_searched_of_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def space(*parameters: space_pb.Parameter) -> space_pb.SearchSpace:
        return space_pb.SearchSpace(parameters=parameters)

    depths = space_pb.ValueList(values=[space_pb.ParameterValue(int_value=5)])
    wide = space_pb.FloatRange(low=0.001, high=0.3, log=True)
    listed = model_rpc.ListModelTypesResponse(
        model_types=[
            presets_pb.ModelType(
                model_type="xgboost_classifier",
                task=dataset_pb.TASK_CLASSIFICATION,
                library="xgboost",
                default_grid=space(space_pb.Parameter(name="max_depth", grid=depths)),
                preset_spaces=[
                    presets_pb.PresetSpace(
                        space_type=presets_pb.SPACE_TYPE_AGGRESSIVE,
                        space=space(space_pb.Parameter(name="learning_rate", float_range=wide)),
                    )
                ],
            ),
            presets_pb.ModelType(model_type="ridge", task=dataset_pb.TASK_REGRESSION),
        ]
    )

    class Listing(model_grpc.ModelServiceServicer):
        def ListModelTypes(
            self, request: model_rpc.ListModelTypesRequest, context: grpc.ServicerContext
        ) -> model_rpc.ListModelTypesResponse:
            return listed

    server = grpc.server(futures.ThreadPoolExecutor(1))
    servicer = Listing()  # type: ignore[abstract]  # the calls no test makes are left out
    model_grpc.add_ModelServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    address = ("--store", f"127.0.0.1:{port}")
    try:
        assert _run("models", "types", *address) == 0
        everything = capsys.readouterr().out
        assert _run("models", "types", "xgboost_classifier", *address) == 0
        one = capsys.readouterr().out
        assert _run("models", "types", "xgbost", *address) == 2
        wrong = capsys.readouterr().err
    finally:
        server.stop(0).wait()
    assert "ridge" in everything
    assert "max_depth" in everything
    assert "0.001 … 0.3 (log)" in one
    assert "aggressive" in one
    assert "ridge" not in one
    assert "xgboost_classifier" in wrong


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("search", "progressive"), "give a model run's id, or --dataset and --model"),
        (("search", "tune", "ID", "--param", "C"), "NAME=VALUE"),
        (("search", "tune", "ID", "--model", "svm_classifier"), "cannot be given"),
        (("search", "compare", "A", "--dataset", "sklearn:wine"), "cannot be given"),
        (("search", "tune", "--dataset", __file__, "--model", "x"), "--target"),
        (("search", "tune", "--dataset", "no.csv", "--target", "y", "--model", "x"), "no file"),
        (("trials", "ID", "--state", "done"), "not one of queued"),
        (("watch", "ID", "--after", "5"), "--json only"),
        (("no-such-command",), "No such command"),
    ],
)
def test_wrong_usage_exits_with_2(
    args: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(*args) == 2
    shown = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert says in shown


def test_help_teaches_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for args, example in (
        (("--help",), "crescendo demo"),
        (("search", "progressive", "--help"), "--param max_depth=5,10,null"),
        (("search", "compare", "--help"), "search compare --dataset sklearn:wine"),
        (("up", "--help"), "--port 0"),
        (("datasets", "upload", "--help"), "--target churned"),
    ):
        assert _run(*args) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert example in shown


def test_what_the_help_shows_exists(capsys: pytest.CaptureFixture[str]) -> None:
    shown = ""
    for args in (
        *(("search", name) for name in ("progressive", "compare", "tune", "cross-validate")),
        ("models", "create"),
        (),
    ):
        assert _run(*args, "--help") == 0
        shown += capsys.readouterr().out
    models = set(re.findall(r"--model (\w+)", shown)) | set(
        re.findall(r"models create (\w+) ", shown)
    )
    assert len(models) > 3
    assert models <= set(MODEL_TYPES)
    assert set(re.findall(r"--step (\w+)", shown)) - {"STEP"} <= set(STEP_TYPES)
    assert set(re.findall(r"--metric (\w+)", shown)) - {"SCORER"} <= set(METRICS)


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
    assert _run("search", "tune", "model-run", *limits.split(), *others.split()) == 0
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
    assert _run("search", "tune", "model-run", *presets, "--detach") == 0
    (asked,) = coordinator.asked
    assert asked.space_type == presets_pb.SPACE_TYPE_AGGRESSIVE
    assert asked.config_type == presets_pb.CONFIG_TYPE_CONSERVATIVE
    assert _run("search", "tune", "model-run", "--space-type", "huge", "--detach") == 2
    assert "'huge' is not one of conservative, default, aggressive" in capsys.readouterr().err


def test_train_scores_and_selection_reach_the_request(
    coordinator: _Coordinator, capsys: pytest.CaptureFixture[str]
) -> None:
    simpler = ("--simpler", "C=lower", "--simpler", "tol=higher")
    assert _run("search", "tune", "model-run", "--train-scores", *simpler, "--detach") == 0
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
    assert _run("search", "tune", "model-run", "--simpler", "C=smaller", "--detach") == 2
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
    assert _run(*tune, str(table), "--target", "ill", *roles, *model) == 0
    (header,) = headers
    assert header.target_column == "ill"
    assert header.roles == dataset_pb.DatasetRoles(group_column="site", positive_label="yes")
    assert _run(*tune, "sklearn:wine", *roles, *model) == 2
    error = " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().err).split())
    assert "--group-column, --positive-label are for files" in error
    server.stop(0).wait()


def test_without_limits_the_server_decides(coordinator: _Coordinator) -> None:
    assert _run("search", "tune", "model-run", "--detach") == 0
    (asked,) = coordinator.asked
    assert asked.space_type == presets_pb.SPACE_TYPE_UNSPECIFIED
    assert asked.config_type == presets_pb.CONFIG_TYPE_UNSPECIFIED
    assert not asked.HasField("budget")
    assert not asked.HasField("priority")
    assert not asked.HasField("worker_class")


def test_extend_adds_what_is_asked_and_says_how_to_follow(
    coordinator: _Coordinator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("extend", messages.ID, "--trials", "5", "--time", "10m") == 0
    (asked,) = coordinator.asked
    assert (asked.orchestration_id, asked.additional_trials) == (messages.ID, 5)
    assert asked.additional_seconds == 600
    assert not asked.HasField("additional_cost")
    assert asked.request_id
    assert f"crescendo watch {messages.ID}" in capsys.readouterr().out


def test_a_time_span_nobody_understands_names_its_option(
    coordinator: _Coordinator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("search", "tune", "model-run", "--max-time", "soon") == 2
    error = capsys.readouterr().err
    assert "--max-time" in error
    assert "1h30m" in error
    assert coordinator.asked == []


def test_pruning_reaches_the_request_and_keeping_needs_it(
    coordinator: _Coordinator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("search", "tune", "model-run", "--prune", "lossless", "--detach") == 0
    assert _run("search", "tune", "model-run", "--prune", "bold", "--keep", "5", "--detach") == 0
    assert [each.pruning for each in coordinator.asked] == [
        orchestration_pb.Pruning(rule="lossless"),
        # What rules there are is the server's to know.
        orchestration_pb.Pruning(rule="bold", keep=5),
    ]
    assert _run("search", "tune", "model-run", "--keep", "5", "--detach") == 2
    assert "needs --prune" in capsys.readouterr().err

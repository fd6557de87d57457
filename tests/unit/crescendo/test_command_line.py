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

import grpc
import pytest

from testbed.addresses import free_port
from tests.unit.crescendo import messages
from tests.unit.crescendo.command_line import run
from tuning.v1 import dataset_pb2 as dataset_pb
from tuning.v1 import model_service_pb2 as model_rpc
from tuning.v1 import model_service_pb2_grpc as model_grpc
from tuning.v1 import orchestration_pb2 as orchestration_pb
from tuning.v1 import presets_pb2 as presets_pb
from tuning.v1 import run_service_pb2 as run_pb
from tuning.v1 import search_space_pb2 as space_pb

pytestmark = pytest.mark.usefixtures("elsewhere")


LOG = [
    *(messages.finished(number, number) for number in range(3, 7)),
    messages.improved(7, 0.97),
    messages.ended(8),
]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[messages.ScriptedStore]:
    whole = messages.progressive_search()
    whole.best.CopyFrom(messages.best(0.97))
    scripted = messages.ScriptedStore(whole, LOG, [2])
    with messages.serving(scripted) as address:
        monkeypatch.setenv("CRESCENDO_STORE_ADDRESS", address)
        yield scripted


def test_watch_follows_to_the_end_through_a_dropped_stream(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.orchestration.state = orchestration_pb.LIFECYCLE_STATE_COMPLETED
    store.log[-1] = messages.ended(8)
    code = run("watch", messages.ID)
    text = capsys.readouterr().out
    assert code == 0
    assert "connection lost" in text
    assert "stage 1 (grid search): 4/4 trials" in text
    assert "0.97000" in text


def test_the_end_of_a_pruned_search_says_how_many_fits_were_saved(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.orchestration.state = orchestration_pb.LIFECYCLE_STATE_COMPLETED
    tuning_run = store.orchestration.stages[0].tuning_runs[0]
    tuning_run.pruning.rule = "lossless"
    tuning_run.fits_saved = 1300
    assert run("watch", messages.ID) == 0
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
    assert run("watch", messages.ID) == 1
    assert "failed: all trials failed" in capsys.readouterr().out


def test_watch_as_json_is_one_object_a_line(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("watch", messages.ID, "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["type"] for line in lines[:2]] == ["snapshot", "trial_finished"]
    assert [line["sequence"] for line in lines] == [2, 3, 4, 5, 6, 7, 8]
    assert lines[-1]["state"] == "completed"
    assert lines[1]["split_scores"] == [0.9] * 5


def test_watch_as_json_goes_on_behind_a_sequence(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("watch", messages.ID, "--json", "--after", "6") == 0
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
            ended.wait(240)

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
    main_code = run("status", messages.ID)
    assert main_code == 0
    assert "Progressive search" in capsys.readouterr().out
    assert run("status", messages.ID, "--json") == 0
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
    assert run("trials", messages.ID, "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["number"] for line in lines] == [0, 1, 2, 3, 4]
    assert lines[0]["parameters"]["layers"] == [100, 50]
    assert run("trials", messages.ID, "--limit", "3") == 0
    assert "layers=(100, 50)" in capsys.readouterr().out


def test_refinements_list_and_best(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("refinements", messages.ID) == 0
    assert "narrowed" in capsys.readouterr().out
    assert run("list") == 0
    assert messages.ID in capsys.readouterr().out
    assert run("best", messages.ID) == 0
    assert "n_estimators" in capsys.readouterr().out


def test_history_shows_the_steps_and_what_another_trial_may_bring(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("history", messages.ID) == 0
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
    assert run("best", messages.ID) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: it is RUNNING; use --so-far to get the best model so far\n")


def test_a_trial_is_shown_with_what_it_rests_on(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("trial", messages.ID, "4") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "from drawn at random, in the space refined around trial 3 by trials 3, 1" in text
    assert "refinement 1 max_depth narrowed" in text
    assert run("trial", messages.ID, "4", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["trial"]["number"], found["lineage"]["evidence_trial_numbers"]) == (4, [3, 1])
    assert found["lineage"]["point_to_try"] is None


def test_two_trials_are_compared_in_words(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("compare-trials", messages.ID, "3", "4", "--with", "other") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "trial 3 is better than trial 4 of other beyond chance (p = 0.00046)" in text
    assert "difference +0.0625 95% interval +0.05 to +0.075" in text
    assert "Over folds made once it is a heuristic" in text
    assert run("compare-trials", messages.ID, "3", "4", "--metric", "f1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["metric"], found["degrees_of_freedom"]) == ("f1", 4)
    assert found["interval_method"] == "corrected_t_heuristic"


def test_an_unknown_id_exits_with_2(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("status", "nonsense") == 2
    error, request_id = capsys.readouterr().err.splitlines()
    assert error == "error: there is no orchestration nonsense"
    assert re.fullmatch(r"  request id: [0-9a-f-]{36}", request_id)


def test_nobody_there_says_where_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    address = f"127.0.0.1:{free_port()}"
    assert run("status", messages.ID, "--store", address) == 1
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
        code = run("models", "create", "x", "--dataset", "y", "--store", f"127.0.0.1:{port}")
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
        assert run("models", "types", *address) == 0
        everything = capsys.readouterr().out
        assert run("models", "types", "xgboost_classifier", *address) == 0
        one = capsys.readouterr().out
        assert run("models", "types", "xgbost", *address) == 2
        wrong = capsys.readouterr().err
    finally:
        server.stop(0).wait()
    assert "ridge" in everything
    assert "max_depth" in everything
    assert "0.001 … 0.3 (log)" in one
    assert "aggressive" in one
    assert "ridge" not in one
    assert "xgboost_classifier" in wrong

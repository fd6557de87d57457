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

import grpc
import pytest

from crescendo.cli.main import main
from services.core.metrics import METRICS
from services.core.model_catalog import MODEL_TYPES
from services.core.preprocessing_types import STEP_TYPES
from tests.support.addresses import free_port
from tests.unit.crescendo import messages
from tuning.v1 import model_service_pb2 as model_rpc
from tuning.v1 import model_service_pb2_grpc as model_grpc
from tuning.v1 import orchestration_pb2 as orchestration_pb
from tuning.v1 import run_service_pb2 as run_pb

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

    with messages.serving(Waiting(store.orchestration, [])) as address:
        process = subprocess.Popen(
            [sys.executable, "-m", "crescendo.cli.main", "watch", messages.ID, "--store", address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert messages.ID in line
        assert reached.wait(20)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
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
    assert err == "error: it is RUNNING; use --so-far to get the best model so far\n"


def test_an_unknown_id_exits_with_2(
    store: messages.ScriptedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("status", "nonsense") == 2
    assert capsys.readouterr().err == "error: there is no orchestration nonsense\n"


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

    server = grpc.server(futures.ThreadPoolExecutor(1))
    model_grpc.add_ModelServiceServicer_to_server(Refusing(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        code = _run("models", "create", "x", "--dataset", "y", "--store", f"127.0.0.1:{port}")
    finally:
        server.stop(0).wait()
    assert code == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: the request is invalid, in 2 places:",
        "  model_type: 'x' is not known",
        "  dataset_id: there is no 'y'",
    ]


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

"""Everything in one process: searches run, data stays, failures say what to do."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from crescendo.client.events import Event, TrialFinished
from crescendo.client.library import Crescendo
from crescendo.client.model import Orchestration
from tests.integration.embedded.conftest import Embedded, embedded, environment, launch

GRID = {"C": [0.1, 1, 10], "gamma": [0.01, 0.1]}
TRIALS = 6 + 4 + 3
# Everything is imported first: on a busy machine that takes a minute.
_SECONDS = 180.0


def _client(running: Embedded) -> Crescendo:
    return Crescendo(running.addresses.coordinator, running.addresses.store)


def _start(client: Crescendo) -> Orchestration:
    model = client.create_model_run("sklearn:wine", "svm_classifier", steps=["standard_scaler"])
    return client.start_progressive_search(
        model.model_run_id, GRID, n_iter_random=4, n_iter_bayesian=3
    )


def _finished(client: Crescendo, orchestration_id: str) -> list[int]:
    return [
        item.change.number
        for item in client.watch(orchestration_id, 0)
        if isinstance(item, Event) and isinstance(item.change, TrialFinished)
    ]


def test_a_search_runs_to_its_end_and_is_kept_over_a_restart(reachable: Path) -> None:
    with embedded(reachable) as first, _client(first) as client:
        started = _start(client)
        assert sorted(_finished(client, started.orchestration_id)) == list(range(TRIALS))
        whole = client.status(started.orchestration_id)
        best = client.best(started.orchestration_id)
        refinements = client.refinements(started.orchestration_id)
    assert whole.state == "completed"
    assert whole.counts.succeeded == TRIALS
    assert best.best.score > 0.9
    assert len(refinements) == 2
    assert all(each.summary for each in refinements)
    with embedded(reachable) as second, _client(second) as client:
        assert client.status(started.orchestration_id).counts == whole.counts
        assert client.best(started.orchestration_id) == best
        assert client.refinements(started.orchestration_id) == refinements
        # And it goes on working.
        assert len(_finished(client, _start(client).orchestration_id)) == TRIALS


@pytest.mark.slow
def test_a_search_goes_on_after_everything_was_killed(reachable: Path) -> None:
    quick = {"CRESCENDO_LEASE_SECONDS": "6", "CRESCENDO_BEAT_SECONDS": "1"}
    with embedded(reachable, **quick) as first, _client(first) as client:
        model = client.create_model_run("sklearn:digits", "svm_classifier")
        started = client.start_progressive_search(
            model.model_run_id,
            {"C": [1, 10], "gamma": [0.0005, 0.001]},
            n_iter_random=2,
            n_iter_bayesian=1,
        )
        seen = 0
        for item in client.watch(started.orchestration_id):
            seen += isinstance(item, Event) and isinstance(item.change, TrialFinished)
            if seen == 2:
                break
        children = psutil.Process(first.process.pid).children(recursive=True)
        first.process.kill()
        first.process.wait()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    with embedded(reachable, **quick) as second, _client(second) as client:
        assert sorted(_finished(client, started.orchestration_id)) == list(range(4 + 2 + 1))
        assert client.status(started.orchestration_id).state == "completed"


def test_sigterm_leaves_no_process_and_no_addresses(reachable: Path) -> None:
    with embedded(reachable) as running:
        children = psutil.Process(running.process.pid).children(recursive=True)
        assert any("postgres" in each.name() for each in children)
        running.process.send_signal(signal.SIGTERM)
        out, _ = running.process.communicate(timeout=_SECONDS)
    assert running.process.returncode == 0
    assert running.addresses.coordinator in out
    assert running.addresses.store in out
    assert "Traceback" not in out
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    assert not (reachable / "addresses.json").exists()


def test_a_second_one_on_the_folder_is_refused_in_words(reachable: Path) -> None:
    with embedded(reachable) as running:
        second = launch(environment(reachable))
        out, _ = second.communicate(timeout=_SECONDS)
        assert second.returncode == 1
        assert f"in use by process {running.process.pid}" in out
        assert "Traceback" not in out
        up = subprocess.run(
            [sys.executable, "-m", "crescendo.cli.main", "up", "--data", str(reachable)],
            env=environment(reachable),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert up.returncode == 1
        assert running.addresses.store in up.stderr


def test_a_port_that_is_taken_is_named(reachable: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = launch(environment(reachable, CRESCENDO_COORDINATOR_LISTEN=address))
        out, _ = process.communicate(timeout=_SECONDS)
    assert process.returncode == 1
    assert address in out
    assert "Traceback" not in out


def test_wrong_settings_are_listed_before_anything_starts(reachable: Path) -> None:
    process = launch(environment(reachable, CRESCENDO_WORKER_SLOTS="many"))
    out, _ = process.communicate(timeout=_SECONDS)
    assert process.returncode == 2
    assert "CRESCENDO_WORKER_SLOTS" in out


def test_a_postgres_of_ones_own_is_used_instead(reachable: Path, fresh_postgres_dsn: str) -> None:
    with (
        embedded(reachable, CRESCENDO_POSTGRES_DSN=fresh_postgres_dsn) as running,
        _client(running) as client,
    ):
        assert any(each.dataset_id == "sklearn:wine" for each in client.datasets())
        assert not (reachable / "postgres").exists()


def test_the_command_line_finds_the_services_of_its_machine(
    reachable: Path, tmp_path: Path
) -> None:
    table = tmp_path / "points.csv"
    rows = "\n".join(f"{x},{x % 7},{'ab'[x % 7 > 3]}" for x in range(60))
    table.write_text(f"x,y,label\n{rows}\n")

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "crescendo.cli.main", *args],
            env=environment(reachable),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    with embedded(reachable):
        tuned = run(
            *("search", "tune", "--dataset", str(table), "--target", "label"),
            *("--model", "decision_tree_classifier", "--param", "max_depth=1,2,null"),
        )
        assert tuned.returncode == 0, tuned.stderr
        assert "3/3 trials" in tuned.stdout
        assert "max_depth" in tuned.stdout
        wrong = run("search", "progressive", "--dataset", "sklearn:wine", "--model", "nonsense")
        assert wrong.returncode == 2
        assert "svm_classifier" in wrong.stderr
        listed = run("list")
        assert "tuning" in listed.stdout
        assert run("datasets", "list").returncode == 0

"""Trials that crash, hang, flood and eat: one fault never touches another slot."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.faults.conftest import StartScenario
from tests.faults.support.fleet import Member, wait_for
from tests.faults.support.scenario import Scenario
from tests.faults.support.workloads import quick_grid
from tests.support.hostility import injected, smoothing
from tests.support.injection.estimators import HUGE_PREDICTIONS, ONE_HUGE_FOLD
from tuning.v1 import trial_pb2

pytestmark = pytest.mark.rabbitmq

# Far more than the good ones take on a busy machine, in processes that have just started.
TIMEOUT = {"CRESCENDO_TRIAL_TIMEOUT_SECONDS": "6"}
MEMORY = {"CRESCENDO_TRIAL_MEMORY_MB": "512"}
GOOD = [1e-9 * number for number in range(1, 11)]


def naive_bayes(scenario: Scenario, *values: float) -> dict[str, object]:
    body = quick_grid(scenario.subjects, 1)
    return {**body, "param_grid": {"var_smoothing": list(values)}}


@pytest.mark.fault_quick
def test_each_trial_that_misbehaves_fails_by_itself(start_scenario: StartScenario) -> None:
    scenario = start_scenario(worker_environ=injected(), settings=TIMEOUT, slots=2)
    expected = {
        smoothing("segfault"): "poison",
        smoothing("abort"): "poison",
        smoothing("leave_at_once"): "poison",
        smoothing("loop_in_python"): "timeout",
        smoothing("loop_in_c"): "timeout",
        smoothing("ignore_sigterm_with_grandchildren"): "timeout",
        smoothing("fail"): "exception",
    }
    grid = [*GOOD, *expected]
    scenario.rng.shuffle(grid)
    asked = scenario.tune(naive_bayes(scenario, *grid), trials=len(grid), succeeded=len(GOOD))
    scenario.watch(asked, 2)
    history = scenario.check(bound_seconds=120)
    trials = sorted(
        history.logs[asked.orchestration_id].trials, key=lambda each: each.suggestion_index
    )
    told = {value: trials[place].failure_kind for place, value in enumerate(grid)}
    assert told == {value: expected.get(value) for value in grid}


def test_a_flood_of_output_drowns_nobody(start_scenario: StartScenario) -> None:
    scenario = start_scenario(worker_environ=injected(), worker_count=1, slots=2)
    scenario.tune(naive_bayes(scenario, *GOOD), trials=10, succeeded=10)
    scenario.await_ended_trials(10)
    (worker,) = scenario.fleet.workers
    before = psutil.Process(worker.pid).memory_info().rss
    floods = [smoothing("flood"), smoothing("flood_without_newlines")]
    scenario.tune(naive_bayes(scenario, *floods, *GOOD), trials=12, succeeded=12)
    scenario.check(bound_seconds=60)
    written = sum(path.stat().st_size for path in scenario.fleet.logs)
    assert written < 2_000_000, f"the flood came through to the logs: {written} bytes"
    # Three fits each, 32 MiB a fit.
    assert psutil.Process(worker.pid).memory_info().rss - before < 128 << 20


def test_a_greedy_trial_is_tried_once_more_and_fails_alone(start_scenario: StartScenario) -> None:
    scenario = start_scenario(worker_environ=injected(), settings=MEMORY, slots=2)
    # The slow one is at it all the while.
    grid = [smoothing("take_long"), smoothing("eat_memory"), *GOOD]
    asked = scenario.tune(naive_bayes(scenario, *grid), trials=12, succeeded=11)
    scenario.watch(asked, 2)
    workers = [each.pid for each in scenario.fleet.workers]
    log = scenario.check(bound_seconds=120).logs[asked.orchestration_id]
    told = {each.suggestion_index: (each.failure_kind, each.attempt) for each in log.trials}
    assert told == {place: ("oom", 1) if place == 1 else (None, 0) for place in range(len(grid))}
    (again,) = [
        each.event.trial_requeued for each in log.events if each.event.HasField("trial_requeued")
    ]
    assert again.cause == trial_pb2.FAILURE_KIND_OOM
    assert [each.pid for each in scenario.fleet.workers if each.alive] == workers


@pytest.mark.fault_quick
def test_scores_that_are_no_numbers_are_failures_and_never_the_best(
    start_scenario: StartScenario,
) -> None:
    scenario = start_scenario(worker_environ=injected())
    grid = [*HUGE_PREDICTIONS, ONE_HUGE_FOLD, 1.0, 2.0]
    scenario.rng.shuffle(grid)
    for metric in ("explained_variance", "neg_mean_squared_error"):
        body = {
            "model_run_id": scenario.subjects.ridge,
            "tuning_method": "grid_search",
            "param_grid": {"alpha": grid},
            "scoring_metric": metric,
            "cv_folds": 3,
        }
        scenario.tune(body, trials=5, succeeded=2)
    history = scenario.check(bound_seconds=60)
    for log in history.logs.values():
        kinds = [each.failure_kind for each in log.trials if each.failure_kind]
        assert kinds == ["non_finite"] * 3


@pytest.mark.fault_quick
def test_a_cancelled_search_kills_its_children(
    start_scenario: StartScenario, tmp_path: Path
) -> None:
    scenario = start_scenario(worker_environ=injected(FAULTS_SIGNS=str(tmp_path)))
    stubborn = scenario.tune(
        naive_bayes(
            scenario, smoothing("loop_in_c"), smoothing("ignore_sigterm_with_grandchildren")
        ),
        trials=None,
    )
    scenario.watch(stubborn, 1)
    wait_for(lambda: _signs(tmp_path) == 2, "both children loop", seconds=120)
    family = [child for worker in scenario.fleet.workers for child in _fitting(worker)]
    scenario.client.cancel(stubborn.orchestration_id)
    # Left alone they loop for ever; how soon they are dead is measured by the soak.
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive, f"still alive: {alive}"
    # Both slots are free again.
    scenario.tune(quick_grid(scenario.subjects, 20), trials=20, succeeded=20)
    scenario.check(bound_seconds=60)


def test_children_of_a_killed_worker_end_with_it(
    start_scenario: StartScenario, tmp_path: Path
) -> None:
    scenario = start_scenario(worker_environ=injected(FAULTS_SIGNS=str(tmp_path)), slots=2)
    deaf = scenario.tune(
        naive_bayes(
            scenario,
            smoothing("ignore_sigterm_with_grandchildren"),
            smoothing("loop_in_c"),
            smoothing("loop_in_python"),
        ),
        trials=None,
    )
    wait_for(lambda: _signs(tmp_path) == 3, "three children loop", seconds=60)
    for worker in scenario.fleet.workers:
        worker.kill()
    wait_for(lambda: not scenario.fleet.orphans(), "nobody outlives the worker", seconds=60)
    scenario.client.cancel(deaf.orchestration_id)
    scenario.check(bound_seconds=60)


def _fitting(worker: Member) -> list[psutil.Process]:
    return [each for each in worker.children() if "services.worker.child" in _line(each)]


def _signs(folder: Path) -> int:
    """Counts children that have begun to misbehave."""
    return len(list(folder.glob("*.sign")))


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""

"""Pause, resume, trigger and cancel against trials that finish, in every order."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.conftest import StartScenario
from tests.faults.support.scenario import Asked, Scenario
from tests.faults.support.workloads import progressive, quick_grid, slow_grid

pytestmark = pytest.mark.rabbitmq

# What a request may be refused with when it comes too early or too late.
REFUSED = "StatusCode.FAILED_PRECONDITION"


@pytest.mark.fault_quick
def test_cancelling_and_finishing_race_and_one_of_them_wins(
    start_scenario: StartScenario, full: bool
) -> None:
    scenario = start_scenario()
    for _ in range(25 if full else 3):
        delays = [scenario.rng.uniform(0, 0.5) for _ in range(40 if full else 20)]
        asked = [
            scenario.tune(quick_grid(scenario.subjects, scenario.rng.randint(1, 4)), trials=None)
            for _ in delays
        ]
        with ThreadPoolExecutor(8) as pool:
            answers = list(
                pool.map(
                    lambda pair: _cancel_after(scenario, *pair), zip(asked, delays, strict=True)
                )
            )
        assert set(answers) <= {"OK", REFUSED}
    for each in scenario.rng.sample(scenario.asked, 10):
        scenario.watch(each, 1)
    history = scenario.check(bound_seconds=60)
    states = [log.state for log in history.logs.values()]
    assert set(states) <= {"cancelled", "completed"}
    # What was refused had completed, and cancelling what has been cancelled is the same as once.
    for each in scenario.rng.sample(scenario.asked, 10):
        was = history.logs[each.orchestration_id].state
        assert scenario.steer("Cancel", each) == ("OK" if was == "cancelled" else REFUSED)


def test_any_order_of_steering_keeps_the_log_whole(
    start_scenario: StartScenario, full: bool
) -> None:
    scenario = start_scenario(coordinator_count=2, store_count=2)
    asked = [
        scenario.search(
            progressive(scenario.subjects, random_state=number, random=4, bayesian=3), trials=None
        )
        for number in range(8 if full else 2)
    ]
    for each in asked:
        scenario.watch(each, 1, drops=10, snapshots=0.3)
    clients = [scenario.fleet.client(store=n, coordinator=n) for n in range(2)]
    ends = time.monotonic() + (40 if full else 7)
    while time.monotonic() < ends:
        verb = scenario.rng.choices(["Pause", "Resume", "Trigger", "Cancel"], [4, 6, 2, 0.3])[0]
        answer = scenario.steer(verb, scenario.rng.choice(asked), scenario.rng.choice(clients))
        assert answer in ("OK", REFUSED), f"{verb}: {answer}"
        time.sleep(scenario.rng.uniform(0, 0.3))
    for each in asked:
        scenario.steer("Resume", each)
    scenario.check(bound_seconds=120)


def test_a_limit_on_concurrent_trials_is_kept_whoever_dies(start_scenario: StartScenario) -> None:
    scenario = start_scenario(worker_count=4, store_count=2, coordinator_count=2)
    asked = scenario.tune(
        slow_grid(scenario.subjects, 24, trees=60, max_concurrent_trials=2),
        trials=24,
        succeeded=24,
    )
    scenario.watch(asked, 2)
    for count in (3, 8, 13):
        scenario.await_ended_trials(count)
        scenario.rng.choice(scenario.fleet.workers).restart()
        scenario.rng.choice(scenario.fleet.coordinators).restart()
    history = scenario.check(bound_seconds=90)
    running: set[int] = set()
    for each in history.logs[asked.orchestration_id].transitions:
        running.discard(each.number)
        if each.new_state == "running":
            running.add(each.number)
        assert len(running) <= 2


def _cancel_after(scenario: Scenario, asked: Asked, delay: float) -> str:
    time.sleep(delay)
    return scenario.steer("Cancel", asked)

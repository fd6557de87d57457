"""Ten thousand trials while workers, the broker and the database die: exactly ten thousand."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from tests.faults.conftest import StartScenario
from tests.faults.support.meddling import meddling
from tests.faults.support.scenario import Scenario
from tests.faults.support.workloads import quick_grid

pytestmark = pytest.mark.rabbitmq


def test_ten_thousand_trials_with_everything_dying_are_exactly_ten_thousand(
    start_scenario: StartScenario, size: int
) -> None:
    scenario = start_scenario(worker_count=3, slots=2)
    fleet = scenario.fleet
    asked = scenario.tune(quick_grid(scenario.subjects, size), trials=size, succeeded=size)
    watchers = scenario.watch(asked, 3, drops=max(10, size // 20))
    with meddling(lambda: scenario.rng.choice(fleet.workers).restart(), every=5, rng=scenario.rng):
        for share, disaster in (
            (0.15, _kill_broker),
            (0.35, _restart_database),
            (0.55, _kill_broker),
            (0.75, _restart_database),
        ):
            scenario.await_ended_trials(int(size * share), seconds=900)
            disaster(scenario)
        scenario.await_ended_trials(int(size * 0.95), seconds=900)
    history = scenario.check(bound_seconds=300)
    log = history.logs[asked.orchestration_id]
    assert Counter(each.state for each in log.trials) == {"succeeded": size}
    seen = [[entry.digest for entry in each.record().entries if entry.digest] for each in watchers]
    assert [len(each) for each in seen] == [log.last_sequence] * 3
    # Raw streams are named alike; what the library decoded is compared with the log by the checker.
    assert seen[0] == seen[2]


def _kill_broker(scenario: Scenario) -> None:
    scenario.fleet.rabbitmq.kill()
    time.sleep(scenario.rng.uniform(0, 3))
    scenario.fleet.rabbitmq.start()


def _restart_database(scenario: Scenario) -> None:
    scenario.fleet.postgres.stop_immediately()
    time.sleep(scenario.rng.uniform(0, 3))
    scenario.fleet.postgres.start()

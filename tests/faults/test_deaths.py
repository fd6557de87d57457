"""Every part killed while searches run: nothing is lost, nothing counts twice."""

from __future__ import annotations

import pytest

from tests.faults.conftest import StartScenario
from tests.faults.support.workloads import progressive, quick_grid, slow_grid

pytestmark = pytest.mark.rabbitmq


@pytest.mark.fault_quick
def test_killed_workers_cost_time_and_no_trial(start_scenario: StartScenario) -> None:
    scenario = start_scenario(worker_count=3)
    asked = scenario.tune(slow_grid(scenario.subjects, 16), trials=16, succeeded=16)
    scenario.watch(asked, 2, drops=5)
    for count in (2, 5):
        scenario.await_ended_trials(count)
        scenario.rng.choice([each for each in scenario.fleet.workers if each.alive]).kill()
    for worker in scenario.fleet.workers:
        if not worker.alive:
            worker.start()
    scenario.check(bound_seconds=60)


@pytest.mark.fault_quick
def test_a_killed_store_is_waited_for(start_scenario: StartScenario) -> None:
    scenario = start_scenario()
    asked = scenario.search(progressive(scenario.subjects), trials=14, succeeded=14)
    scenario.watch(asked, 2)
    for count in (2, 7):
        scenario.await_ended_trials(count)
        scenario.fleet.stores[0].restart()
    scenario.check(bound_seconds=60)


@pytest.mark.fault_quick
def test_a_killed_broker_is_refilled_from_the_database(start_scenario: StartScenario) -> None:
    scenario = start_scenario()
    asked = scenario.tune(slow_grid(scenario.subjects, 16), trials=16, succeeded=16)
    scenario.watch(asked, 2)
    scenario.await_ended_trials(3)
    scenario.fleet.rabbitmq.kill()
    # Accepting needs only the store.
    later = scenario.tune(quick_grid(scenario.subjects, 40), trials=40, succeeded=40)
    assert later.answers
    scenario.fleet.rabbitmq.start()
    scenario.check(bound_seconds=60)


@pytest.mark.fault_quick
def test_a_database_that_stops_at_once_and_recovers_loses_nothing(
    start_scenario: StartScenario,
) -> None:
    scenario = start_scenario()
    asked = scenario.search(progressive(scenario.subjects), trials=14, succeeded=14)
    scenario.watch(asked, 2)
    for count in (2, 6):
        scenario.await_ended_trials(count)
        scenario.fleet.postgres.stop_immediately()
        scenario.fleet.postgres.start()
    scenario.check(bound_seconds=60)


@pytest.mark.fault_quick
def test_a_killed_coordinator_is_replaced_by_replay(start_scenario: StartScenario) -> None:
    scenario = start_scenario(coordinator_count=2)
    asked = scenario.search(progressive(scenario.subjects), trials=14, succeeded=14)
    scenario.watch(asked, 2)
    for count in (3, 8):
        scenario.await_ended_trials(count)
        victim = scenario.rng.choice(scenario.fleet.coordinators)
        victim.restart()
    scenario.check(bound_seconds=60)

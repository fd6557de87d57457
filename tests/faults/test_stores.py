"""Stores that die, drain and freeze, alone and two at once."""

from __future__ import annotations

import pytest

from tests.faults.conftest import StartScenario
from tests.faults.support.fleet import LONG_LEASES, wait_for
from tests.faults.support.workloads import progressive, quick_grid, slow_grid

pytestmark = pytest.mark.rabbitmq


@pytest.mark.fault_quick
def test_two_stores_write_one_log_whichever_of_them_dies(start_scenario: StartScenario) -> None:
    scenario = start_scenario(store_count=2)
    first, second = scenario.fleet.stores
    quick = scenario.tune(quick_grid(scenario.subjects, 300), trials=300, succeeded=300)
    asked = scenario.search(progressive(scenario.subjects), trials=14, succeeded=14)
    for store in (first, second):
        address = store.clients
        for each in (quick, asked):
            scenario.watch(each, 1, drops=25, address=lambda address=address: address)  # type: ignore[misc]  # (bound now)
    scenario.await_ended_trials(30)
    first.restart()
    scenario.await_ended_trials(120)
    second.freeze()
    scenario.await_ended_trials(200)
    second.thaw()
    scenario.check(bound_seconds=90)


@pytest.mark.fault_quick
def test_a_store_that_drains_ends_its_streams_and_loses_nothing(
    start_scenario: StartScenario,
) -> None:
    scenario = start_scenario(settings=LONG_LEASES)
    asked = scenario.tune(slow_grid(scenario.subjects, 14), trials=14, succeeded=14)
    scenario.watch(asked, 3)
    (store,) = scenario.fleet.stores
    for count in (2, 6):
        scenario.await_ended_trials(count)
        assert store.terminate() == 0
        store.start()
    history = scenario.check(bound_seconds=60)
    # Workers were told of the drain: no lease was cut short for it, and no trial lost.
    assert all(not each.attempt for each in history.logs[asked.orchestration_id].trials)


def test_stores_killed_again_and_again(start_scenario: StartScenario) -> None:
    scenario = start_scenario(store_count=2, worker_count=3)
    quick = scenario.tune(quick_grid(scenario.subjects, 500), trials=500, succeeded=500)
    slow = scenario.tune(slow_grid(scenario.subjects, 20, trees=60), trials=20, succeeded=20)
    for each in (quick, slow):
        scenario.watch(each, 2, snapshots=0.3, drops=40)
    while scenario.ended_trials() < 400:
        before = scenario.ended_trials()
        wait_for(
            lambda before=before: scenario.ended_trials() >= min(520, before + 20),  # type: ignore[misc]  # (bound now)
            "it goes on",
            seconds=90,
        )
        scenario.rng.choice(scenario.fleet.stores).restart()
    scenario.check(bound_seconds=120)

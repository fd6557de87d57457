"""A database that drops connections, freezes, restarts, and answers too late."""

from __future__ import annotations

import time

import pytest

from tests.faults.conftest import StartScenario
from tests.faults.support.fleet import wait_for
from tests.faults.support.meddling import meddling
from tests.faults.support.workloads import progressive, quick_grid, slow_grid

pytestmark = pytest.mark.rabbitmq

# Of the database's answers; a call is made of about ten.
LOST_ANSWERS = 0.008


def test_connections_terminated_every_two_seconds(start_scenario: StartScenario) -> None:
    scenario = start_scenario()
    asked = scenario.search(progressive(scenario.subjects), trials=14, succeeded=14)
    quick = scenario.tune(quick_grid(scenario.subjects, 200), trials=200, succeeded=200)
    for each in (asked, quick):
        scenario.watch(each, 1)
    fleet = scenario.fleet
    with meddling(
        lambda: fleet.postgres.terminate_backends(fleet.database), every=2, rng=scenario.rng
    ):
        scenario.await_ended_trials(150, seconds=120)
    scenario.check(bound_seconds=60)


@pytest.mark.fault_quick
def test_calls_that_were_carried_out_and_never_answered(start_scenario: StartScenario) -> None:
    scenario = start_scenario()
    for store in scenario.fleet.stores:
        store.links["postgres"].lose_answers(LOST_ANSWERS)
    for number in range(6):
        asked = scenario.tune(quick_grid(scenario.subjects, 30 + number), trials=30 + number)
        # The client repeats what failed: each request makes one search, answered or not.
        for _ in range(20):
            if asked.answers:
                break
            scenario.repeat(asked)
        assert asked.answers
        scenario.repeat(asked)
    slow = scenario.search(progressive(scenario.subjects), trials=14)
    while not slow.answers:
        scenario.repeat(slow)
    scenario.watch(slow, 2)
    scenario.await_ended_trials(150, seconds=120)
    scenario.fleet.links.heal()
    scenario.check(bound_seconds=60)


def test_answers_that_come_too_late_are_no_answers(start_scenario: StartScenario) -> None:
    scenario = start_scenario()
    asked = scenario.tune(slow_grid(scenario.subjects, 30, trees=60), trials=30, succeeded=30)
    scenario.watch(asked, 2)
    for store in scenario.fleet.stores:
        store.links["postgres"].lose_answers(LOST_ANSWERS / 4, hold_seconds=12)
    scenario.await_ended_trials(20, seconds=240)
    scenario.fleet.links.heal()
    scenario.check(bound_seconds=90)


def test_frozen_backends_hold_up_only_those_who_wait_for_them(
    start_scenario: StartScenario,
) -> None:
    scenario = start_scenario(store_count=2)
    asked = scenario.tune(slow_grid(scenario.subjects, 16), trials=16, succeeded=16)
    scenario.watch(asked, 2)
    scenario.await_ended_trials(2)
    fleet = scenario.fleet
    frozen = fleet.postgres.freeze_backends(fleet.database, 3)
    try:
        assert frozen
        began = time.monotonic()
        wait_for(lambda: time.monotonic() - began > 20, "the freeze", seconds=30)
    finally:
        for each in frozen:
            each.resume()
    scenario.check(bound_seconds=90)


def test_a_database_frozen_for_longer_than_a_lease_costs_no_trial_its_work(
    start_scenario: StartScenario,
) -> None:
    scenario = start_scenario()
    asked = scenario.tune(slow_grid(scenario.subjects, 8, trees=600), trials=8, succeeded=8)
    scenario.watch(asked, 2)
    scenario.await_ended_trials(1)
    scenario.fleet.postgres.freeze()
    began = time.monotonic()
    wait_for(lambda: time.monotonic() - began > 10, "the freeze", seconds=20)
    scenario.fleet.postgres.thaw()
    history = scenario.check(bound_seconds=120)
    # Nobody could beat while it was frozen: nobody is called lost for that.
    assert all(not each.attempt for each in history.logs[asked.orchestration_id].trials)


def test_a_database_killed_again_and_again(start_scenario: StartScenario) -> None:
    scenario = start_scenario(store_count=2)
    asked = scenario.tune(quick_grid(scenario.subjects, 400), trials=400, succeeded=400)
    scenario.watch(asked, 3, drops=40)
    for count in (20, 100, 200, 300):
        scenario.await_ended_trials(count)
        scenario.fleet.postgres.kill()
        scenario.fleet.postgres.start()
    scenario.check(bound_seconds=90)

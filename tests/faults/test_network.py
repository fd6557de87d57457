"""Links that swallow, stall, delay and break, each of them and all at once."""

from __future__ import annotations

import time

import pytest

from tests.faults.conftest import StartScenario
from tests.faults.support.fleet import wait_for
from tests.faults.support.meddling import meddling
from tests.faults.support.proxy import Mode
from tests.faults.support.scenario import Scenario
from tests.faults.support.workloads import progressive, quick_grid, slow_grid

pytestmark = pytest.mark.rabbitmq

FULL_STORM_SECONDS = 90.0
QUICK_STORM_SECONDS = 12.0
ODD_MODES = (Mode.HOLE, Mode.HOLE_UP, Mode.HOLE_DOWN, Mode.STALL, Mode.REFUSE)


def test_a_storm_of_faults_on_every_link(start_scenario: StartScenario, full: bool) -> None:
    scenario = start_scenario(store_count=2, coordinator_count=2)
    asked = scenario.search(
        progressive(scenario.subjects, random=8, bayesian=6), trials=18, succeeded=18
    )
    quick = scenario.tune(quick_grid(scenario.subjects, 600), trials=600, succeeded=600)
    for each in (asked, quick):
        scenario.watch(each, 2)
    began = time.monotonic()
    length = FULL_STORM_SECONDS if full else QUICK_STORM_SECONDS
    with meddling(lambda: _gust(scenario), every=1.5, rng=scenario.rng):
        wait_for(lambda: time.monotonic() - began > length, "the storm", seconds=length + 5)
    scenario.fleet.links.heal()
    scenario.check(bound_seconds=120)


@pytest.mark.parametrize("mode", [Mode.HOLE_UP, Mode.HOLE_DOWN, Mode.STALL])
def test_a_worker_behind_a_hole_is_replaced_and_fenced(
    start_scenario: StartScenario, mode: Mode
) -> None:
    scenario = start_scenario()
    asked = scenario.tune(slow_grid(scenario.subjects, 20), trials=20, succeeded=20)
    scenario.watch(asked, 2)
    scenario.await_ended_trials(2)
    cut_off = scenario.rng.choice(scenario.fleet.workers)
    cut_off.links["store-0-internal"].set_mode(mode)
    began = time.monotonic()
    wait_for(lambda: time.monotonic() - began > 15, "the hole", seconds=20)
    cut_off.links["store-0-internal"].heal()
    scenario.check(bound_seconds=90)


@pytest.mark.parametrize("mode", [Mode.HOLE_UP, Mode.HOLE_DOWN])
def test_a_coordinator_behind_a_hole_is_replaced(start_scenario: StartScenario, mode: Mode) -> None:
    scenario = start_scenario(coordinator_count=2)
    asked = scenario.search(progressive(scenario.subjects), trials=14, succeeded=14)
    scenario.watch(asked, 2)
    scenario.await_ended_trials(2)
    for coordinator in scenario.fleet.coordinators:
        coordinator.links["store-0-internal"].set_mode(mode)
        before = scenario.ended_trials()
        wait_for(
            lambda before=before: scenario.ended_trials() >= min(14, before + 3),  # type: ignore[misc]  # (bound now)
            "the other one goes on",
            seconds=60,
        )
        coordinator.links["store-0-internal"].heal()
    scenario.check(bound_seconds=90)


def test_slow_links_change_nothing_but_the_time(start_scenario: StartScenario) -> None:
    scenario = start_scenario()
    for link in scenario.fleet.links.all:
        link.delay(0.03, jitter=0.025)
    asked = scenario.search(progressive(scenario.subjects), trials=14, succeeded=14)
    quick = scenario.tune(quick_grid(scenario.subjects, 100), trials=100, succeeded=100)
    for each in (asked, quick):
        scenario.watch(each, 2)
    scenario.check(bound_seconds=180)


def test_every_link_cut_every_two_seconds(start_scenario: StartScenario) -> None:
    scenario = start_scenario(store_count=2, coordinator_count=2)
    asked = scenario.search(progressive(scenario.subjects), trials=14, succeeded=14)
    quick = scenario.tune(quick_grid(scenario.subjects, 300), trials=300, succeeded=300)
    for each in (asked, quick):
        scenario.watch(each, 2)
    for link in scenario.fleet.links.all:
        link.cut_every(2)
    began = time.monotonic()
    wait_for(lambda: time.monotonic() - began > 30, "thirty seconds of cuts", seconds=40)
    scenario.fleet.links.heal()
    scenario.check(bound_seconds=120)


def _gust(scenario: Scenario) -> None:
    """Breaks some links in some way, and mends some."""
    for link in scenario.fleet.links.all:
        chance = scenario.rng.random()
        if chance < 0.1:
            link.set_mode(scenario.rng.choice(ODD_MODES))
        elif chance < 0.2:
            link.cut()
        elif chance < 0.3:
            link.delay(scenario.rng.uniform(0.01, 0.2), jitter=0.01)
        elif chance < 0.7:
            link.heal()

"""Coordinators killed and frozen while they decide: the points and the counts stay the same."""

from __future__ import annotations

import time
from functools import partial

import pytest

from tests.faults.conftest import StartScenario
from tests.faults.support.fleet import wait_for
from tests.faults.support.scenario import Asked
from tests.faults.support.workloads import progressive, quick_grid
from tests.support.hostility import injected

pytestmark = pytest.mark.rabbitmq

LEASE_SECONDS = 6.0


def test_coordinators_killed_at_any_moment_of_planning_and_closing(
    start_scenario: StartScenario,
) -> None:
    scenario = start_scenario(coordinator_count=2)
    asked = [
        scenario.search(
            progressive(scenario.subjects, random_state=number), trials=14, succeeded=14
        )
        for number in range(3)
    ]
    for each in asked:
        scenario.watch(each, 1, drops=6)
    while scenario.ended_trials() < 38:
        began = time.monotonic()
        pause = scenario.rng.uniform(0.2, 4.0)
        wait_for(
            lambda began=began, pause=pause: time.monotonic() - began > pause,  # type: ignore[misc]  # (bound now)
            "a moment",
            seconds=10,
        )
        victim = scenario.rng.choice(scenario.fleet.coordinators)
        victim.kill()
        victim.start(wait=scenario.rng.random() < 0.5)
    scenario.check(bound_seconds=90)


@pytest.mark.parametrize(
    "rpc",
    ["CreateOrchestration", "AcquireSearchers", "CreateTrials", "HandOutTrials", "CloseTuningRun"],
)
def test_a_coordinator_killed_around_each_of_its_commits(
    start_scenario: StartScenario, rpc: str
) -> None:
    scenario = start_scenario()
    (coordinator,) = scenario.fleet.coordinators
    healthy = coordinator.environ
    for edge in ("before", "after"):
        coordinator.kill()
        coordinator.environ = {**healthy, **injected(FAULTS_DEATH=f"{rpc} {edge}")}
        coordinator.start(wait=False)
        asked = scenario.search(progressive(scenario.subjects), trials=14, succeeded=14)

        def is_dead(asked: Asked = asked) -> bool:
            if coordinator.alive and not asked.answers:
                scenario.repeat(asked)
            return not coordinator.alive

        wait_for(is_dead, f"it dies {edge} {rpc}", seconds=60)
        coordinator.environ = healthy
        coordinator.start()
        # Whether the request was accepted before the death or was not: it exists once.
        wait_for(partial(scenario.repeat, asked), "it is accepted", seconds=30)
        scenario.watch(asked, 2)
    scenario.check(bound_seconds=60)


def test_a_coordinator_killed_while_it_dispatches_thousands(
    start_scenario: StartScenario, size: int
) -> None:
    count = max(500, size // 4)
    scenario = start_scenario(coordinator_count=1, slots=2)
    asked = scenario.tune(quick_grid(scenario.subjects, count), trials=count, succeeded=count)
    scenario.watch(asked, 3, drops=count // 10, snapshots=0.2)
    for share in (0.02, 0.1, 0.3, 0.6):
        scenario.await_ended_trials(int(count * share), seconds=300)
        scenario.fleet.coordinators[0].restart()
    scenario.check(bound_seconds=300)


@pytest.mark.fault_quick
def test_a_frozen_coordinator_writes_nothing_once_its_lease_is_another_s(
    start_scenario: StartScenario,
) -> None:
    scenario = start_scenario(coordinator_count=2)
    asked = scenario.search(progressive(scenario.subjects), trials=14, succeeded=14)
    scenario.watch(asked, 2)
    for coordinator in scenario.fleet.coordinators:
        before = scenario.ended_trials()
        coordinator.freeze()
        began = time.monotonic()
        wait_for(
            lambda began=began, before=before: (  # type: ignore[misc]  # (bound now)
                time.monotonic() - began > LEASE_SECONDS + 1
                and scenario.ended_trials() >= min(14, before + 2)
            ),
            "the other one has taken over",
            seconds=120,
        )
        coordinator.thaw()
    scenario.check(bound_seconds=60)

"""Workers that freeze, vanish at the worst moment, or lose their connections."""

from __future__ import annotations

import pytest

from tests.faults.conftest import StartScenario
from tests.faults.support.fleet import wait_for
from tests.faults.support.history import read_history
from tests.faults.support.proxy import Mode
from tests.faults.support.workloads import quick_grid, slow_grid
from tuning.v1 import trial_pb2

pytestmark = pytest.mark.rabbitmq


@pytest.mark.fault_quick
def test_a_worker_frozen_past_its_lease_is_fenced_when_it_thaws(
    start_scenario: StartScenario,
) -> None:
    scenario = start_scenario(slots=2)
    asked = scenario.tune(slow_grid(scenario.subjects, 24), trials=24, succeeded=24)
    scenario.watch(asked, 2)
    scenario.await_ended_trials(2)
    frozen = scenario.rng.choice(scenario.fleet.workers)
    frozen.freeze()
    # Its children run on and end; what they tell nobody reads until it thaws.
    wait_for(lambda: _requeued(scenario.fleet.dsn) > 0, "its trials are queued again", seconds=90)
    frozen.thaw()
    history = scenario.check(bound_seconds=60)
    assert any(each.attempt for each in history.logs[asked.orchestration_id].trials)


def test_a_worker_killed_right_after_its_claim(start_scenario: StartScenario) -> None:
    scenario = start_scenario(worker_count=2)
    asked = scenario.tune(slow_grid(scenario.subjects, 12), trials=12, succeeded=12)
    scenario.watch(asked, 2, drops=4)
    for _ in range(4):
        # Its answers are held back: it has claimed, and does not know what.
        victim = scenario.rng.choice(scenario.fleet.workers)
        victim.links["store-0-internal"].set_mode(Mode.HOLE_DOWN)
        claimed = _claims(scenario.fleet.dsn)
        before = scenario.ended_trials()
        wait_for(
            lambda claimed=claimed, before=before: (  # type: ignore[misc]  # (bound now, not later)
                _claims(scenario.fleet.dsn) > claimed or scenario.ended_trials() > before
            ),
            "a claim",
            seconds=60,
        )
        victim.kill()
        victim.links["store-0-internal"].heal()
        victim.start()
    scenario.check(bound_seconds=90)


def test_a_worker_killed_right_after_its_result(start_scenario: StartScenario) -> None:
    scenario = start_scenario(worker_count=2)
    asked = scenario.tune(slow_grid(scenario.subjects, 12, trees=40), trials=12, succeeded=12)
    scenario.watch(asked, 2, drops=4)
    for count in (1, 4, 7):
        scenario.await_ended_trials(count)
        victim = scenario.rng.choice(scenario.fleet.workers)
        # The store takes the result; the worker never hears of it.
        victim.links["store-0-internal"].lose_answers(1.0, hold_seconds=30)
        scenario.await_ended_trials(count + 1)
        victim.kill()
        victim.links["store-0-internal"].heal()
        victim.start()
    scenario.check(bound_seconds=90)


def test_workers_killed_again_and_again_at_random(start_scenario: StartScenario) -> None:
    scenario = start_scenario(worker_count=3)
    asked = scenario.tune(quick_grid(scenario.subjects, 400), trials=400, succeeded=400)
    slow = scenario.tune(slow_grid(scenario.subjects, 20, trees=60), trials=20, succeeded=20)
    for each in (asked, slow):
        scenario.watch(each, 2, drops=30, snapshots=0.2)
    count = 0
    while count < 300:
        count = scenario.ended_trials()
        scenario.await_ended_trials(min(420, count + scenario.rng.randint(5, 60)))
        scenario.rng.choice(scenario.fleet.workers).restart()
    scenario.check(bound_seconds=120)


@pytest.mark.fault_quick
def test_a_worker_that_drains_hands_back_what_it_does_not_finish(
    start_scenario: StartScenario,
) -> None:
    scenario = start_scenario(settings={"CRESCENDO_WORKER_DRAIN_SECONDS": "1"})
    asked = scenario.tune(slow_grid(scenario.subjects, 6, trees=400), trials=6, succeeded=6)
    scenario.watch(asked, 2)
    scenario.await_ended_trials(1)
    leaver = scenario.rng.choice(scenario.fleet.workers)
    assert leaver.terminate() == 0
    history = scenario.check(bound_seconds=120)
    # Nobody waited for a lease, and nobody was called lost.
    causes = [
        each.event.trial_requeued.cause
        for each in history.logs[asked.orchestration_id].events
        if each.event.HasField("trial_requeued")
    ]
    assert all(cause != trial_pb2.FAILURE_KIND_LOST for cause in causes)


def _requeued(dsn: str) -> int:
    return sum(
        each.new_state == "queued" and each.new_attempt > 0
        for log in read_history(dsn).logs.values()
        for each in log.transitions
    )


def _claims(dsn: str) -> int:
    return sum(
        each.new_state == "running"
        for log in read_history(dsn).logs.values()
        for each in log.transitions
    )

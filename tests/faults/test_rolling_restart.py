"""Everything restarted in turn while searches run: an upgrade that nobody notices."""

from __future__ import annotations

import pytest

from tests.faults.conftest import StartScenario
from tests.faults.support.workloads import progressive, quick_grid
from tuning.v1 import trial_pb2

pytestmark = pytest.mark.rabbitmq


def test_everything_restarted_in_turn_during_a_search(start_scenario: StartScenario) -> None:
    scenario = start_scenario(
        store_count=2, coordinator_count=2, settings={"CRESCENDO_WORKER_DRAIN_SECONDS": "3"}
    )
    asked = scenario.search(
        progressive(scenario.subjects, random=10, bayesian=10), trials=24, succeeded=24
    )
    quick = scenario.tune(quick_grid(scenario.subjects, 300), trials=300, succeeded=300)
    for each in (asked, quick):
        scenario.watch(each, 2)
    scenario.await_ended_trials(5)
    for member in scenario.fleet.members:
        assert member.terminate() == 0, f"{member.name} did not drain"
        member.start()
        # A request at any moment of it is answered by those that are up.
        later = scenario.tune(quick_grid(scenario.subjects, 3), trials=3, succeeded=3)
        assert scenario.repeat(later) or scenario.repeat(later)
    history = scenario.check(bound_seconds=90)
    lost = [
        each.event.trial_requeued
        for log in history.logs.values()
        for each in log.events
        if each.event.trial_requeued.cause == trial_pb2.FAILURE_KIND_LOST
    ]
    assert not lost, f"drains lost trials: {lost}"

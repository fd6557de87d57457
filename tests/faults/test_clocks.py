"""Machines whose clocks are an hour off: leases, deadlines and events go by the database's alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.faults.conftest import StartScenario
from tests.faults.support.workloads import progressive, slow_grid
from tests.support.hostility import injected

pytestmark = pytest.mark.rabbitmq

HOUR = 3600
SLACK = timedelta(minutes=10)


def test_an_hour_s_difference_between_clocks_changes_nothing(start_scenario: StartScenario) -> None:
    scenario = start_scenario(worker_count=0)
    fleet = scenario.fleet
    began = datetime.now(UTC)
    # Before the others, which are told of the stores there are.
    fleet.add_store(environ=injected(FAULTS_CLOCK_SECONDS=str(HOUR)))
    for shift in (HOUR, -HOUR):
        environ = injected(FAULTS_CLOCK_SECONDS=str(shift))
        fleet.add_worker(environ=environ)
        fleet.add_coordinator(environ=environ)
    fleet.coordinators.pop(0).terminate()
    scenario.client = fleet.client()
    asked = [
        scenario.search(
            progressive(scenario.subjects, random=3, bayesian=2), trials=9, succeeded=9
        ),
        scenario.tune(slow_grid(scenario.subjects, 4), trials=4, succeeded=4),
    ]
    for each in asked:
        scenario.watch(each, 2)
    scenario.await_ended_trials(4)
    # A lease that some clock would call expired for an hour, or not for another one.
    fleet.workers[0].kill()
    scenario.await_ended_trials(6)
    fleet.workers[0].start()
    scenario.check(bound_seconds=60)
    for each in asked:
        moments = [
            event.occurred_at.ToDatetime(tzinfo=UTC)
            for event in scenario.client.events(each.orchestration_id)
        ]
        assert moments == sorted(moments)
        assert began - SLACK < moments[0] <= moments[-1] < datetime.now(UTC) + SLACK

"""Extending searches, for tests: a completed one, and working off what is left."""

from __future__ import annotations

from typing import Any

from services.core.plan import LifecycleState
from services.core.run import Orchestration
from services.store.service.plans import Extension
from tests.integration.store.scenario import Scenario, success

STATE = LifecycleState


RANDOM = ("random_search",)


async def extend(scenario: Scenario, identifier: str, **more: Any) -> Orchestration:
    return await scenario.cases.plans.extend(
        identifier, Extension(**more), tenant="default", key=None
    )


async def completed(
    scenario: Scenario, count: int = 3, **options: Any
) -> tuple[Orchestration, Any, str]:
    """A search of one stage of random search that has run all its trials."""
    options = {"planned": count, "methods": RANDOM, "combinations": None, **options}
    orchestration, run, session = await scenario.started(count=count, **options)
    await scenario.finish(
        *(success(orchestration.orchestration_id, number) for number in range(count))
    )
    return await scenario.close(orchestration, run), run, session


async def work_off(scenario: Scenario, identifier: str) -> Orchestration:
    """Creates, claims, finishes and closes until the search has ended."""
    session = await scenario.session(slots=50)
    while True:
        now = await scenario.cases.runs.orchestration(identifier)
        running = [
            run for stage in now.stages for run in stage.tuning_runs if run.state is STATE.RUNNING
        ]
        if not running:
            return now
        for run in running:
            created = run.counts.completed + run.counts.queued + run.counts.running
            made = await scenario.queue(
                run.tuning_run_id, run.counts.total - created, first=created
            )
            numbers = range(made.first_number, made.first_number + made.created)
            claimed = await scenario.claim(session, run, numbers)
            await scenario.finish(*(success(identifier, each.number) for each in claimed.trials))
            await scenario.close(now, run)

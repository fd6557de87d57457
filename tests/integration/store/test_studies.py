"""Studies: asked for more in all they run what is missing, and nothing twice."""

from __future__ import annotations

import asyncio
from typing import Any

from services.core.budget import Budget
from services.core.plan import Plan
from services.core.run import Orchestration
from services.store.service.plans import Change
from tests.integration.store.extending import RANDOM, STATE, work_off
from tests.integration.store.scenario import Scenario


async def study(scenario: Scenario, plan: Plan, *, keyed: bool = False) -> Orchestration:
    return await scenario.cases.plans.create(
        plan, tenant="default", key=scenario.key() if keyed else None, spec_hash=b"spec"
    )


async def test_after_ten_trials_asking_for_twenty_runs_eleven_to_twenty(
    scenario: Scenario,
) -> None:
    model = await scenario.model_run()
    options: dict[str, Any] = {
        "methods": RANDOM,
        "combinations": None,
        "models": [model],
        "study_name": "wine",
    }
    ten = await scenario.plan(planned=10, **options)
    twenty = await scenario.plan(planned=20, **options)
    first = await study(scenario, ten)
    identifier = first.orchestration_id
    assert (await work_off(scenario, identifier)).counts.succeeded == 10
    again = await study(scenario, ten, keyed=True)
    assert (again.orchestration_id, again.state) == (identifier, STATE.COMPLETED)
    more = await asyncio.gather(*(study(scenario, twenty, keyed=bool(n % 2)) for n in range(6)))
    assert {(each.orchestration_id, each.state, each.counts.total) for each in more} == {
        (identifier, STATE.RUNNING, 20)
    }
    (run,) = more[0].stages[0].tuning_runs
    made = await scenario.queue(run.tuning_run_id, 30, first=10)
    assert (made.first_number, made.created) == (10, 10)
    await scenario.check(identifier)
    smaller = await study(scenario, ten)
    assert (smaller.counts.total, smaller.stages[0].tuning_runs[0].trial_budget) == (20, 20)


async def test_a_study_takes_larger_limits_and_leaves_the_others(scenario: Scenario) -> None:
    model = await scenario.model_run()
    options: dict[str, Any] = {
        "planned": 9,
        "methods": RANDOM,
        "combinations": None,
        "models": [model],
        "study_name": "wine",
    }
    await study(
        scenario,
        await scenario.plan(budget=Budget(max_trials=5, max_failed_trials=3), **options),
    )
    now = await study(
        scenario,
        await scenario.plan(
            budget=Budget(max_trials=7, max_failed_trials=2, max_seconds=60), **options
        ),
    )
    assert now.budget == Budget(max_trials=7, max_failed_trials=3)
    unnamed = await study(scenario, await scenario.plan(**options))
    assert (unnamed.budget, unnamed.last_sequence) == (now.budget, now.last_sequence)


async def test_a_study_that_cannot_go_on_is_shown_as_it_ended(scenario: Scenario) -> None:
    model = await scenario.model_run()
    options: dict[str, Any] = {"methods": RANDOM, "models": [model], "combinations": None}
    first = await study(scenario, await scenario.plan(planned=3, study_name="one", **options))
    await scenario.cases.plans.change(first.orchestration_id, Change.CANCEL)
    again = await study(scenario, await scenario.plan(planned=9, study_name="one", **options))
    assert (again.orchestration_id, again.state) == (first.orchestration_id, STATE.CANCELLED)
    options["combinations"] = 3
    second = await study(scenario, await scenario.plan(planned=3, study_name="two", **options))
    ended = await work_off(scenario, second.orchestration_id)
    again = await study(scenario, await scenario.plan(planned=9, study_name="two", **options))
    assert (again.state, again.last_sequence) == (STATE.COMPLETED, ended.last_sequence)

"""Trials that repeat an earlier one have its result at once, and use nothing up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from services.core.budget import Budget
from services.core.errors import InvalidRequest
from services.core.event import BestImproved, TrialFinished, TrialsQueued
from services.core.run import Orchestration
from services.core.trial import Trial, TrialState
from services.store.ports.results import CreatedTrials, TrialOrder
from tests.integration.store.scenario import Scenario, failure, new_trials, success


async def _second_stage(
    scenario: Scenario, budget: Budget, planned: int = 3
) -> tuple[Orchestration, Any, Any]:
    """A first stage whose three trials came to 0.55, 0.9 and a failure, and the second one's run."""
    model = await scenario.model_run()
    orchestration, run, _ = await scenario.started(
        count=3, stages=(1, 1), planned=planned, budget=budget, models=(model,)
    )
    identifier = orchestration.orchestration_id
    await scenario.finish(
        success(identifier, 0), success(identifier, 1, 0.8, 1.0), failure(identifier, 2)
    )
    await scenario.close(orchestration, run)
    now = await scenario.cases.runs.orchestration(identifier)
    return now, run, now.stages[1].tuning_runs[0]


async def _trials(scenario: Scenario, orchestration_id: str) -> Sequence[Trial]:
    trials, _ = await scenario.cases.runs.trials(
        orchestration_id=orchestration_id,
        tuning_run_id="",
        states=(),
        min_score=None,
        order=TrialOrder.NUMBER,
        page_size=None,
        page_token="",
    )
    return trials


async def _copy(
    scenario: Scenario, tuning_run_id: str, number: int, rest: int = 0
) -> CreatedTrials:
    first, *others = new_trials(1 + rest, candidate=False)
    copied = replace(first, phase="repeat", copied_from=number)
    return await scenario.cases.creation.create(tuning_run_id, epoch=0, trials=[copied, *others])


async def test_a_copy_has_the_result_of_the_trial_it_repeats_and_was_never_run(
    scenario: Scenario,
) -> None:
    orchestration, _, run = await _second_stage(scenario, Budget(price_per_hour=3600.0))
    identifier = orchestration.orchestration_id
    made = await _copy(scenario, run.tuning_run_id, 1)
    assert (made.first_number, made.created, made.remaining) == (3, 1, 2)
    _, told, _, copied = await _trials(scenario, identifier)
    assert copied.state is TrialState.SUCCEEDED
    assert (copied.score, copied.metrics, copied.splits) == (told.score, told.metrics, told.splits)
    assert copied.parameters == told.parameters
    assert (copied.copied_from, told.copied_from) == (1, None)
    assert (copied.fit_seconds, copied.worker, copied.started_at) == (0.0, "", None)
    assert copied.finished_at is not None

    after = await scenario.cases.runs.orchestration(identifier)
    assert after.used.cost == orchestration.used.cost > 0
    assert after.used.copied_trials == 1
    # The trial that was run stays the best.
    assert after.best is not None
    assert after.best.trial_number == 1
    events = [payload for _, payload in await scenario.events(identifier)][-2:]
    assert events == [
        TrialsQueued(tuning_run_id=run.tuning_run_id, first_number=3, count=1),
        TrialFinished(
            number=3,
            attempt=0,
            state=TrialState.SUCCEEDED,
            tuning_run_id=run.tuning_run_id,
            score=told.score,
            split_scores=(0.8, 1.0),
            copied_from=1,
        ),
    ]
    await scenario.check(identifier)
    # Told twice it is made once.
    again = await _copy(scenario, run.tuning_run_id, 1)
    assert (again.first_number, again.created) == (3, 1)
    await scenario.check(identifier)


async def test_a_limit_on_trials_does_not_count_copies(scenario: Scenario) -> None:
    orchestration, _, run = await _second_stage(scenario, Budget(max_trials=4))
    made = await _copy(scenario, run.tuning_run_id, 0, rest=0)
    assert (made.created, made.remaining) == (1, 1)
    assert (await scenario.queue(run.tuning_run_id, 2, first=1)).created == 1
    session = await scenario.session()
    await scenario.claim(session, run, [4])
    await scenario.finish(success(orchestration.orchestration_id, 4))
    await scenario.check(orchestration.orchestration_id)
    now = await scenario.cases.runs.orchestration(orchestration.orchestration_id)
    assert (now.counts.succeeded, now.counts.failed, now.used.copied_trials) == (4, 1, 1)


async def test_only_results_of_the_same_model_run_are_copied(scenario: Scenario) -> None:
    orchestration, _, run = await _second_stage(scenario, Budget())
    for number in (2, 3, 99):
        with pytest.raises(InvalidRequest, match=f"is {number}, which is no trial of model run"):
            await _copy(scenario, run.tuning_run_id, number)
    other = await scenario.start(stages=(2,))
    first, second = other.stages[0].tuning_runs
    await scenario.queue(first.tuning_run_id, 1)
    session = await scenario.session()
    await scenario.claim(session, first, [0])
    await scenario.finish(success(other.orchestration_id, 0))
    with pytest.raises(InvalidRequest, match="leave it out to run the trial"):
        await _copy(scenario, second.tuning_run_id, 0)
    for each in (orchestration, other):
        await scenario.check(each.orchestration_id)


async def test_a_copy_is_the_best_of_its_own_run_without_being_told_as_better(
    scenario: Scenario,
) -> None:
    orchestration, _, run = await _second_stage(scenario, Budget())
    await _copy(scenario, run.tuning_run_id, 1)
    now = await scenario.cases.runs.orchestration(orchestration.orchestration_id)
    (copied,) = now.stages[1].tuning_runs
    assert copied.best is not None
    assert (copied.best.trial_number, copied.best.score) == (3, 0.9)
    told = [
        payload.best.trial_number
        for _, payload in await scenario.events(orchestration.orchestration_id)
        if isinstance(payload, BestImproved)
    ]
    assert told == [1]

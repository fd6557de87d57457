"""Trials stopped early: which the store takes as PRUNED, what it keeps of them, and what others must beat."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.core.budget import Budget
from services.core.event import TrialRequeued
from services.core.pruning import PruneDecision, Threshold
from services.core.pruning_settings import Pruning
from services.core.run import TuningRun
from services.core.trial import FailureKind, SplitScores, Trial, TrialResult, TrialState
from services.store.ports.results import FinishOutcome, TrialOrder
from tests.integration.store.scenario import Scenario, success, trial_key

DONE, DUPLICATE, FENCED = FinishOutcome.DONE, FinishOutcome.DUPLICATE, FinishOutcome.FENCED


def pruned(identifier: str, number: int, *scores: float, seconds: float = 0.01) -> TrialResult:
    return TrialResult(
        trial=trial_key(identifier, number),
        state=TrialState.PRUNED,
        metrics=(SplitScores(metric="accuracy", scores=scores),),
        duration_seconds=seconds,
    )


async def started(
    scenario: Scenario, pruning: Pruning | None, *, count: int = 3, budget: Budget | None = None
) -> tuple[str, TuningRun, str]:
    """Starts a tuning run with trials 0 … count − 1, two folds each, claimed by a session."""
    plan = await scenario.plan(planned=6, combinations=6, budget=budget or Budget())
    (stage,) = plan.stages
    (run,) = stage.tuning_runs
    stage = replace(stage, tuning_runs=(replace(run, pruning=pruning),))
    orchestration, claimed, session = await scenario.started(
        count=count, plan=replace(plan, stages=(stage,))
    )
    return orchestration.orchestration_id, claimed, session


async def read(scenario: Scenario, identifier: str, number: int) -> Trial:
    """Reads one trial."""
    trials, _ = await scenario.cases.runs.trials(
        orchestration_id=identifier,
        tuning_run_id="",
        states=(),
        min_score=None,
        order=TrialOrder.NUMBER,
        page_size=10,
        page_token="",
    )
    return trials[number]


async def test_a_trial_that_cannot_win_is_pruned_with_its_reason_and_never_scored(
    scenario: Scenario,
) -> None:
    identifier, run, _ = await started(scenario, Pruning())
    await scenario.finish(success(identifier, 0, 0.9))
    stopped = pruned(identifier, 1, 0.5)
    assert await scenario.finish(stopped) == [DONE]
    assert await scenario.finish(stopped, stopped) == [DUPLICATE, DUPLICATE]
    trial = await read(scenario, identifier, 1)
    assert (trial.state, trial.score, trial.failure) == (TrialState.PRUNED, None, None)
    assert trial.metrics[0].scores == (0.5,)
    assert trial.prune_decision == PruneDecision(
        stop=True, rule="lossless", step=1, value=0.75, cut_off=0.9, peers=1
    )
    now = await scenario.cases.runs.tuning_run(run.tuning_run_id)
    assert (now.counts.pruned, now.counts.succeeded, now.fits_saved) == (1, 1, 1)
    assert now.best is not None
    assert now.best.trial_number == 0
    assert now.pruning == Pruning()
    await scenario.check(identifier)


@pytest.mark.parametrize("scores", [(0.85,), (), (0.1, 0.1), (0.1, 0.1, 0.1)])
async def test_a_trial_that_could_still_win_or_tells_no_part_is_tried_again(
    scenario: Scenario, scores: tuple[float, ...]
) -> None:
    identifier, _, _ = await started(scenario, Pruning())
    await scenario.finish(success(identifier, 0, 0.9))
    stopped = pruned(identifier, 1, *scores)
    assert await scenario.finish(stopped) == [DONE]
    trial = await read(scenario, identifier, 1)
    assert (trial.state, trial.attempt) == (TrialState.QUEUED, 1)
    assert await scenario.finish(stopped) == [FENCED]
    await scenario.check(identifier)


async def test_a_search_that_stops_nothing_takes_no_pruned_trial(scenario: Scenario) -> None:
    identifier, _, _ = await started(scenario, None)
    await scenario.finish(success(identifier, 0, 0.9))
    await scenario.finish(pruned(identifier, 1, 0.0))
    trial = await read(scenario, identifier, 1)
    assert (trial.state, trial.prune_decision) == (TrialState.QUEUED, None)


async def test_only_complete_trials_set_what_others_must_beat_and_it_is_told_at_every_turn(
    scenario: Scenario,
) -> None:
    identifier, run, holder = await started(scenario, Pruning(keep=2))
    session = await scenario.session(name="w2")
    await scenario.queue(run.tuning_run_id, 2, first=3)
    finish = scenario.cases.results.finish
    assert (await finish(holder, [success(identifier, 0, 0.6)])).thresholds == {}
    assert (await scenario.claim(session, run, [3])).threshold is None
    answer = await finish(holder, [success(identifier, 2, 0.9)])
    expected = Threshold(score=0.6, place=(0, 0), keep=2)
    assert answer.thresholds == {run.tuning_run_id: expected}
    assert (await scenario.claim(session, run, [4])).threshold == expected
    # A pruned one changes nothing; a better one raises it.
    await scenario.finish(pruned(identifier, 1, 0.1))
    answer = await finish(session, [success(identifier, 3, 0.7)])
    assert answer.thresholds == {run.tuning_run_id: Threshold(score=0.7, place=(3, 3), keep=2)}


async def test_ties_lose_behind_in_the_grid_unless_they_are_kept(scenario: Scenario) -> None:
    for keep_ties, state in ((False, TrialState.PRUNED), (True, TrialState.QUEUED)):
        identifier, _, _ = await started(scenario, Pruning(keep_ties=keep_ties))
        await scenario.finish(success(identifier, 0, 0.75))
        await scenario.finish(pruned(identifier, 1, 0.5))
        assert (await read(scenario, identifier, 1)).state is state


async def test_a_pruned_trial_is_charged_what_it_ran(scenario: Scenario) -> None:
    budget = Budget(max_cost=100, price_per_hour=3600, trial_timeout_seconds=10)
    identifier, _, _ = await started(scenario, Pruning(), count=2, budget=budget)
    await scenario.finish(success(identifier, 0, 0.9, seconds=0.001))
    await scenario.finish(pruned(identifier, 1, 0.5, seconds=0.002))
    whole = await scenario.cases.runs.orchestration(identifier)
    assert whole.used.cost == pytest.approx(0.003)
    assert whole.used.reserved_cost == 0


async def test_a_worker_that_always_prunes_wrongly_is_no_failure_of_the_trial(
    scenario: Scenario,
) -> None:
    identifier, _, _ = await started(scenario, Pruning(), budget=Budget(max_failed_trials=0))
    await scenario.finish(success(identifier, 0, 0.9))
    await scenario.finish(pruned(identifier, 1, 0.95))
    whole = await scenario.cases.runs.orchestration(identifier)
    assert whole.counts.failed == 0
    events = [payload for _, payload in await scenario.events(identifier)]
    causes = [each.cause for each in events if isinstance(each, TrialRequeued)]
    assert causes == [FailureKind.INFRA]

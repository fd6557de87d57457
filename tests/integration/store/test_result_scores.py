"""Scores of results: finite, those that were due, kept with what their splits took."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from services.common.convert.trials import trial_to_proto
from services.core.event import (
    TrialFinished,
)
from services.core.intervals import IntervalMethod, SplitFacts
from services.core.plan import Plan
from services.core.trial import (
    Failure,
    FailureKind,
    SplitScores,
    Trial,
    TrialKey,
    TrialResult,
    TrialState,
)
from services.store.ports.results import FinishOutcome, TrialOrder
from tests.integration.store.scenario import Scenario, failure, success


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
async def test_a_score_that_is_not_finite_fails_the_trial(scenario: Scenario, bad: float) -> None:
    orchestration, _, _ = await scenario.started(count=2)
    identifier = orchestration.orchestration_id
    assert await scenario.finish(success(identifier, 0, 0.5, bad)) == [FinishOutcome.DONE]
    await scenario.finish(success(identifier, 1, 0.1, 0.3))
    trials, _ = await scenario.cases.runs.trials(
        orchestration_id=identifier,
        tuning_run_id="",
        states=(),
        min_score=None,
        order=TrialOrder.NUMBER,
        page_size=None,
        page_token="",
    )
    assert trials[0].state is TrialState.FAILED
    assert trials[0].failure is not None
    assert trials[0].failure.kind is FailureKind.NON_FINITE
    assert "split 1" in trials[0].failure.message
    shown = await scenario.cases.runs.orchestration(identifier)
    assert shown.best is not None
    assert shown.best.trial_number == 1
    await scenario.check(identifier)


async def test_secondary_metrics_may_be_undefined(scenario: Scenario) -> None:
    orchestration, _, _ = await scenario.started(
        count=1, plan=await _scored_by(scenario, "accuracy", "f1")
    )
    identifier = orchestration.orchestration_id
    result = TrialResult(
        trial=TrialKey(orchestration_id=identifier, number=0, attempt=0),
        state=TrialState.SUCCEEDED,
        metrics=(
            SplitScores(metric="accuracy", scores=(0.5, 0.7)),
            SplitScores(metric="f1", scores=(math.nan, 0.7)),
        ),
    )
    assert await scenario.finish(result) == [FinishOutcome.DONE]
    shown = await scenario.cases.runs.orchestration(identifier)
    assert shown.counts.succeeded == 1


async def test_train_scores_are_kept_where_every_split_has_one(scenario: Scenario) -> None:
    orchestration, _, _ = await scenario.started(
        count=2, plan=await _scored_by(scenario, "accuracy", "f1")
    )
    identifier = orchestration.orchestration_id
    whole = (
        SplitScores(metric="accuracy", scores=(0.5, 0.7), train_scores=(0.75, 1.0)),
        SplitScores(metric="f1", scores=(0.4, 0.7), train_scores=(math.inf, 1.0)),
    )
    part = (whole[0], replace(whole[1], train_scores=(1.0,)))
    told = [
        replace(success(identifier, number), metrics=metrics)
        for number, metrics in enumerate((whole, part))
    ]
    assert await scenario.finish(*told) == [FinishOutcome.DONE] * 2
    kept, left_out = await _trials(scenario, identifier)
    assert kept.metrics == whole
    assert [each.train_scores for each in left_out.metrics] == [(), ()]
    finished = [
        payload.train_scores
        for _, payload in await scenario.events(identifier)
        if isinstance(payload, TrialFinished)
    ]
    assert finished == [(0.75, 1.0), ()]


async def _scored_by(scenario: Scenario, *metrics: str) -> Plan:
    plan = await scenario.plan()
    (stage,) = plan.stages
    (run,) = stage.tuning_runs
    run = replace(run, evaluation=replace(run.evaluation, metrics=metrics))
    return replace(plan, stages=(replace(stage, tuning_runs=(run,)),))


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ([("accuracy", 3)], "split scores 3 of 'accuracy'"),
        ([("accuracy", 1)], "split scores 1 of 'accuracy'"),
        ([("r2", 2)], "split scores 2 of 'r2'"),
        ([("accuracy\x00", 2)], r"split scores 2 of 'accuracy\x00'"),
        ([("f1", 2), ("accuracy", 2)], "split scores 2 of 'f1', 2 of 'accuracy'"),
        ([("accuracy", 2), ("accuracy", 2)], "split scores 2 of 'accuracy', 2 of 'accuracy'"),
        ([], "no scores"),
    ],
)
async def test_a_success_with_other_scores_than_were_due_is_a_failure(
    scenario: Scenario, scores: list[tuple[str, int]], told: str
) -> None:
    orchestration, _, _ = await scenario.started(count=2)
    identifier = orchestration.orchestration_id
    metrics = tuple(
        SplitScores(metric=metric, scores=(0.99, 0.9, 0.8)[:count]) for metric, count in scores
    )
    odd = replace(success(identifier, 0), metrics=metrics)
    assert await scenario.finish(odd, success(identifier, 1)) == [FinishOutcome.DONE] * 2
    trials = await _trials(scenario, identifier)
    assert [each.state for each in trials] == [TrialState.FAILED, TrialState.SUCCEEDED]
    assert (trials[0].score, trials[0].metrics) == (None, ())
    assert trials[0].failure == Failure(
        kind=FailureKind.EXCEPTION,
        message=f"the worker reported a success with {told}, where split scores 2 of 'accuracy'"
        " were due",
    )
    shown = await scenario.cases.runs.orchestration(identifier)
    assert shown.best is not None
    assert shown.best.trial_number == 1
    await scenario.check(identifier)


async def test_of_trials_without_success_only_scores_that_were_due_are_kept(
    scenario: Scenario,
) -> None:
    orchestration, _, _ = await scenario.started(count=3)
    identifier = orchestration.orchestration_id
    part = (SplitScores(metric="accuracy", scores=(0.5,)),)
    odd = (SplitScores(metric="accuracy\x00", scores=(0.5,)),)
    many = (SplitScores(metric="accuracy", scores=(0.5,) * 3),)
    told = [
        replace(failure(identifier, number), metrics=metrics)
        for number, metrics in enumerate((part, odd, many))
    ]
    assert await scenario.finish(*told) == [FinishOutcome.DONE] * 3
    assert [each.metrics for each in await _trials(scenario, identifier)] == [part, (), ()]


async def test_durations_no_trial_can_have_count_as_none(scenario: Scenario) -> None:
    orchestration, _, _ = await scenario.started(count=4, planned=4)
    identifier = orchestration.orchestration_id
    told = [1e300, -1.0, math.nan, 366 * 86_400.0]
    results = [
        replace(
            success(identifier, number),
            fit_seconds=seconds,
            score_seconds=seconds,
            duration_seconds=seconds,
        )
        for number, seconds in enumerate(told)
    ]
    assert await scenario.finish(*results) == [FinishOutcome.DONE] * 4
    kept = [(each.fit_seconds, each.score_seconds) for each in await _trials(scenario, identifier)]
    assert kept == [(0, 0), (0, 0), (0, 0), (told[3], told[3])]


async def _trials(scenario: Scenario, identifier: str) -> Sequence[Trial]:
    trials, _ = await scenario.cases.runs.trials(
        orchestration_id=identifier,
        tuning_run_id="",
        states=(),
        min_score=None,
        order=TrialOrder.NUMBER,
        page_size=None,
        page_token="",
    )
    return trials


@pytest.mark.parametrize(("told", "kept"), [(2, 2), (1, 0), (3, 0)])
async def test_what_splits_took_is_kept_when_it_is_of_the_scored_ones(
    scenario: Scenario, told: int, kept: int
) -> None:
    orchestration, _, _ = await scenario.started()
    identifier = orchestration.orchestration_id
    facts = SplitFacts(train_rows=90, test_rows=10, fit_seconds=0.5, score_seconds=math.nan)
    result = replace(
        success(identifier, 0, 0.25, 0.75),
        splits=(facts,) * told,
        interval_method=IntervalMethod.CORRECTED_T,
    )
    assert await scenario.finish(result) == [FinishOutcome.DONE]
    trials, _ = await scenario.cases.runs.trials(
        orchestration_id=identifier,
        tuning_run_id="",
        states=(TrialState.SUCCEEDED,),
        min_score=None,
        order=TrialOrder.NUMBER,
        page_size=None,
        page_token="",
    )
    # A time that is no number is none.
    assert trials[0].splits == (replace(facts, score_seconds=0.0),) * kept
    assert trials[0].interval_method is IntervalMethod.CORRECTED_T
    shown = trial_to_proto(trials[0])
    assert [each.level for each in shown.metrics[0].intervals] == [0.95, 0.99][:kept]

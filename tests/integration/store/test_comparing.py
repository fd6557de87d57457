"""Trials are compared by what is stored of them, of one search or of two."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.core.errors import InvalidRequest, NotFound, WrongState
from services.core.intervals import IntervalMethod, SplitFacts
from services.core.plan import Plan
from services.core.trial import TrialResult
from services.store.service.tracing import TrialName
from tests.integration.store.scenario import Scenario, failure, success

PART = SplitFacts(train_rows=75, test_rows=75, fit_seconds=0.1, score_seconds=0.1)


def scored(orchestration_id: str, number: int, *scores: float) -> TrialResult:
    return replace(
        success(orchestration_id, number, *scores),
        splits=(PART, PART),
        interval_method=IntervalMethod.CORRECTED_T_HEURISTIC,
    )


def name(orchestration_id: str, number: int | None) -> TrialName:
    return TrialName(orchestration_id=orchestration_id, number=number)


async def test_two_trials_of_one_search_or_of_two_are_compared(scenario: Scenario) -> None:
    one, _, _ = await scenario.started(count=2)
    two, _, _ = await scenario.started(count=1)
    first, second = one.orchestration_id, two.orchestration_id
    await scenario.finish(scored(first, 0, 0.75, 0.5), scored(first, 1, 0.5, 0.5))
    await scenario.finish(scored(second, 0, 0.25, 0.5))
    comparing = scenario.cases.comparing
    found = await comparing.trials(name(first, 0), name(first, 1))
    assert (found.metric, found.difference, found.differences) == ("accuracy", 0.125, (0.25, 0.0))
    assert found.method is IntervalMethod.CORRECTED_T_HEURISTIC
    assert found.test is not None
    assert found.test.degrees_of_freedom == 1
    # Student's t with one degree of freedom is Cauchy's: t = 0.125 / √((1/2 + 1) / 32).
    assert found.test.p_value == pytest.approx(0.666, abs=0.001)
    across = await comparing.trials(name(first, 0), name(second, 0))
    assert across.difference == 0.25


async def test_what_cannot_be_compared_says_why(scenario: Scenario) -> None:
    one, _, _ = await scenario.started(count=3)
    other, _, _ = await scenario.started(count=1, plan=await _on_five_folds(scenario))
    first, second = one.orchestration_id, other.orchestration_id
    await scenario.finish(scored(first, 0, 0.75), failure(first, 1))
    await scenario.finish(scored(second, 0, 0.5, 0.5, 0.5, 0.5, 0.5))
    comparing = scenario.cases.comparing
    with pytest.raises(WrongState, match=r"trial 1 is FAILED: it has no score") as refused:
        await comparing.trials(name(first, 0), name(first, 1))
    assert refused.value.reason == "NOT_COMPARABLE"
    with pytest.raises(WrongState, match="trial 2 is RUNNING: wait until it has ended"):
        await comparing.trials(name(first, 2), name(first, 0))
    with pytest.raises(WrongState, match=r"splits differ \(stratified_k_fold\(n_splits=2\) and"):
        await comparing.trials(name(first, 0), name(second, 0))
    with pytest.raises(WrongState, match="trial 0 has no r2; it was scored by accuracy"):
        await comparing.trials(name(second, 0), name(first, 0), metric="r2")
    with pytest.raises(InvalidRequest, match=r"first_number: .*; second_number: is missing"):
        await comparing.trials(name(first, None), name(first, None))
    with pytest.raises(InvalidRequest, match="is 0, as the first"):
        await comparing.trials(name(first, 0), name(first, 0))
    for number in (99, -1, 1 << 40):
        with pytest.raises(NotFound, match=f"orchestration .* has no trial {number}$"):
            await comparing.trials(name(first, 0), name(first, number))
    with pytest.raises(NotFound, match="orchestration"):
        await comparing.trials(name(first, 0), name("nonsense", 0))


async def _on_five_folds(scenario: Scenario) -> Plan:
    plan = await scenario.plan()
    (stage,) = plan.stages
    (run,) = stage.tuning_runs
    run = replace(run, evaluation=replace(run.evaluation, cv_folds=5))
    return replace(plan, cv_folds=5, stages=(replace(stage, tuning_runs=(run,)),))

"""Results: they count once, from whom they may come, and what they must be."""

from __future__ import annotations

import uuid
from dataclasses import replace
from functools import partial

import pytest

from services.core.budget import Budget
from services.core.errors import InvalidRequest
from services.core.event import (
    BestImproved,
    FoldScored,
    TrialFinished,
)
from services.core.trial import (
    FailureKind,
    TrialKey,
    TrialResult,
    TrialState,
)
from services.store.adapters.postgres.database import Database
from services.store.adapters.postgres.workforce import PostgresSessions
from services.store.ports.results import FinishOutcome, OrderKind, StepReport, TrialOrder
from tests.integration.store.scenario import Scenario, failure, success, trial_key

DONE, DUPLICATE, FENCED = FinishOutcome.DONE, FinishOutcome.DUPLICATE, FinishOutcome.FENCED


async def test_a_result_counts_once(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started()
    identifier = orchestration.orchestration_id
    result = success(identifier, 0, 0.25, 0.75)
    assert await scenario.finish(result, result) == [DONE, DUPLICATE]
    assert await scenario.finish(result) == [DUPLICATE]
    trials, _ = await scenario.cases.runs.trials(
        orchestration_id=identifier,
        tuning_run_id="",
        states=(TrialState.SUCCEEDED,),
        min_score=None,
        order=TrialOrder.NUMBER,
        page_size=None,
        page_token="",
    )
    (trial,) = trials
    assert (trial.score, trial.metrics[0].scores, trial.worker) == (0.5, (0.25, 0.75), "w1")
    finished = [
        payload
        for _, payload in await scenario.events(identifier)
        if isinstance(payload, TrialFinished)
    ]
    assert finished == [
        TrialFinished(
            number=0,
            attempt=0,
            state=TrialState.SUCCEEDED,
            tuning_run_id=run.tuning_run_id,
            score=0.5,
            split_scores=(0.25, 0.75),
            duration_seconds=0.01,
        )
    ]
    await scenario.check(identifier)


async def test_results_of_strangers_are_fenced(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started(count=1)
    identifier = orchestration.orchestration_id
    await scenario.queue(run.tuning_run_id, 1, first=1)
    assert (
        await scenario.finish(
            success(identifier, 0, attempt=3),
            success(identifier, 1),
            success(identifier, 77),
            success("nonsense", 0),
            success(str(uuid.uuid4()), 0),
        )
        == [FENCED] * 5
    )
    await scenario.check(identifier)


@pytest.mark.parametrize("sender", ["", "nonsense", "unknown", "another"])
async def test_results_count_only_from_the_session_that_holds_the_trial(
    scenario: Scenario, sender: str
) -> None:
    budget = Budget(
        max_failed_trials=0, max_cost=100, price_per_hour=3600, trial_timeout_seconds=10
    )
    orchestration, _, session = await scenario.started(count=2, budget=budget)
    identifier = orchestration.orchestration_id
    stranger = {"unknown": str(uuid.uuid4()), "another": await scenario.session(name="w2")}.get(
        sender, sender
    )
    told = [
        success(identifier, 0, seconds=0.001),
        failure(identifier, 1),
        replace(success(identifier, 1), state=TrialState.PRUNED),
    ]
    finish, report = scenario.cases.results.finish, scenario.cases.steps.report
    before = await scenario.cases.runs.orchestration(identifier)
    assert (await finish(stranger, told)).outcomes == (FENCED,) * 3
    fold = StepReport(trial=told[0].trial, step=1, value=0.5)
    orders = (await report(stranger, [fold])).orders
    assert [(each.kind, each.trial) for each in orders] == [(OrderKind.CANCEL, told[0].trial)]
    # Nothing changed: no event, no failure, nothing charged.
    after = await scenario.cases.runs.orchestration(identifier)
    assert (after.last_sequence, after.counts) == (before.last_sequence, before.counts)
    assert (after.used.cost, after.used.reserved_cost) == (0, 20)
    # Whose the trials are is heard, however the id is written.
    assert not (await report(session.upper(), [fold])).orders
    assert (await finish(session.upper(), told[:1])).outcomes == (DONE,)
    assert (await finish(stranger, told[:1])).outcomes == (FENCED,)
    assert (await finish(session, told[:1])).outcomes == (DUPLICATE,)
    await scenario.check(identifier)


async def test_an_ended_session_still_tells_of_what_runs_under_it(
    scenario: Scenario, database: Database
) -> None:
    orchestration, _, session = await scenario.started(count=2)
    identifier = orchestration.orchestration_id
    # Its lease ran out, its trials are not queued again yet, and its worker has registered anew.
    assert await PostgresSessions(database).end(session)
    anew = await scenario.session()
    fold = StepReport(trial=trial_key(identifier, 0), step=1, value=0.5)
    assert not (await scenario.cases.steps.report(session, [fold])).orders
    assert await scenario.finish(success(identifier, 0), session_id=session) == [DONE]
    assert await scenario.finish(success(identifier, 1), session_id=anew) == [FENCED]
    await scenario.cases.sessions.settle(session, lost=True)
    # Of an old attempt the success counts, whichever session of the worker's tells it.
    assert await scenario.finish(failure(identifier, 1), session_id=anew) == [FENCED]
    late = success(identifier, 1)
    assert await scenario.finish(late, session_id=str(uuid.uuid4())) == [FENCED]
    assert await scenario.finish(late, session_id=session) == [DONE]
    assert await scenario.finish(late, session_id=anew) == [DUPLICATE]
    await scenario.check(identifier)


async def test_a_late_success_of_an_old_attempt_is_taken_once(scenario: Scenario) -> None:
    orchestration, run, session = await scenario.started()
    identifier = orchestration.orchestration_id
    await _lose(scenario, session, identifier, [0, 1, 2])
    assert await scenario.finish(failure(identifier, 0)) == [FENCED]
    assert await scenario.finish(success(identifier, 0, 0.9)) == [DONE]
    # Trial 1 runs again elsewhere; its first worker comes late but first.
    other = await scenario.session(name="w2")
    assert len((await scenario.claim(other, run, [1], attempt=1)).trials) == 1
    assert await scenario.finish(success(identifier, 1, 0.8)) == [DONE]
    assert await scenario.finish(success(identifier, 1, 0.7, attempt=1)) == [FENCED]
    assert await scenario.finish(success(identifier, 1, 0.8)) == [DUPLICATE]
    orders = await scenario.cases.sessions.beat(
        other,
        held=[TrialKey(orchestration_id=identifier, number=1, attempt=1)],
        free_slots=0,
    )
    assert [(each.kind, each.trial.number) for each in orders] == [(OrderKind.CANCEL, 1)]
    await scenario.check(identifier)


async def _lose(scenario: Scenario, session: str, identifier: str, numbers: list[int]) -> None:
    lost = await scenario.cases.requeueing.lost(
        session,
        [TrialKey(orchestration_id=identifier, number=each, attempt=0) for each in numbers],
    )
    assert lost == len(numbers)


async def test_a_result_that_is_too_large_is_refused_and_its_message_clipped(
    scenario: Scenario,
) -> None:
    orchestration, _, _ = await scenario.started(count=2)
    identifier = orchestration.orchestration_id
    huge = success(identifier, 0, *([0.5] * 9000))
    wordy = failure(identifier, 1, message="é" * 5000 + "\x00")
    assert await scenario.finish(huge, wordy) == [DONE, DONE]
    trials, _ = await scenario.cases.runs.trials(
        orchestration_id=identifier,
        tuning_run_id="",
        states=(),
        min_score=None,
        order=TrialOrder.NUMBER,
        page_size=None,
        page_token="",
    )
    assert [each.failure.kind for each in trials if each.failure] == [
        FailureKind.RESULT_TOO_LARGE,
        FailureKind.EXCEPTION,
    ]
    message = trials[1].failure.message if trials[1].failure else ""
    assert 4000 < len(message.encode()) <= 4096


async def test_a_trial_cannot_end_as_anything(scenario: Scenario) -> None:
    result = TrialResult(
        trial=TrialKey(orchestration_id=str(uuid.uuid4()), number=0, attempt=0),
        state=TrialState.CANCELLED,
    )
    with pytest.raises(InvalidRequest, match="CANCELLED"):
        await scenario.finish(result)


async def test_the_best_trial_follows_the_order_of_ties(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started(count=3)
    identifier = orchestration.orchestration_id
    await scenario.finish(success(identifier, 2, 0.5))
    await scenario.finish(success(identifier, 1, 0.5))
    await scenario.finish(success(identifier, 0, 0.4))
    shown = await scenario.cases.runs.orchestration(identifier)
    assert shown.best is not None
    assert (shown.best.trial_number, shown.best.score) == (1, 0.5)
    assert shown.best.parameters == {"C": 1.0}
    assert shown.stages[0].tuning_runs[0].best == shown.best
    improved = [
        payload.best.trial_number
        for _, payload in await scenario.events(identifier)
        if isinstance(payload, BestImproved)
    ]
    assert improved == [2, 1]
    assert run.model_run_id == shown.best.model_run_id


async def test_folds_are_told_once_and_in_order(scenario: Scenario) -> None:
    orchestration, _, session = await scenario.started(count=2)
    identifier = orchestration.orchestration_id
    key = TrialKey(orchestration_id=identifier, number=0, attempt=0)
    report = partial(scenario.cases.steps.report, session)
    folds = [StepReport(trial=key, step=2, value=0.7), StepReport(trial=key, step=1, value=0.5)]
    assert not (await report(folds)).orders
    assert not (await report(folds)).orders
    # Again together with a new one, which comes twice.
    more = StepReport(trial=key, step=3, value=0.6)
    assert not (await report([folds[0], more, more])).orders
    scored = [
        payload
        for _, payload in await scenario.events(identifier)
        if isinstance(payload, FoldScored)
    ]
    assert [(each.split, each.score) for each in scored] == [(0, 0.5), (1, 0.7), (2, 0.6)]
    old = TrialKey(orchestration_id=identifier, number=1, attempt=4)
    stranger = TrialKey(orchestration_id="nonsense", number=1, attempt=0)
    told = await report(
        [StepReport(trial=old, step=1, value=1.0), StepReport(trial=stranger, step=1, value=1.0)]
    )
    assert {each.trial for each in told.orders} == {old, stranger}
    await scenario.check(identifier)


async def test_attempts_that_never_were_count_for_nothing(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started(count=1)
    identifier = orchestration.orchestration_id
    await scenario.queue(run.tuning_run_id, 1, first=1)
    assert (
        await scenario.finish(
            success(identifier, 0, attempt=-1),
            success(identifier, 0, attempt=1),
            success(identifier, 1, attempt=-1),
            success(identifier, 1, attempt=0),
        )
        == [FENCED] * 4
    )
    await scenario.check(identifier)


async def test_splits_no_dataset_has_are_ignored(scenario: Scenario) -> None:
    orchestration, _, session = await scenario.started(count=1)
    key = TrialKey(orchestration_id=orchestration.orchestration_id, number=0, attempt=0)
    folds = [StepReport(trial=key, step=step, value=0.5) for step in (0, 1, 2**31 - 1)]
    assert not (await scenario.cases.steps.report(session, folds)).orders
    scored = [
        payload
        for _, payload in await scenario.events(orchestration.orchestration_id)
        if isinstance(payload, FoldScored)
    ]
    assert [each.split for each in scored] == [0]

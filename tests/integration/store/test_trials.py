"""Trials: exact budgets, claims by compare-and-set, results that count once."""

from __future__ import annotations

import asyncio
import math
import uuid

import pytest

from services.core.errors import Conflict, InvalidRequest, NotFound, WrongState
from services.core.event import (
    BestImproved,
    FoldScored,
    TrialFinished,
    TrialRequeued,
    TrialsQueued,
    TrialStarted,
)
from services.core.trial import FailureKind, SplitScores, TrialKey, TrialResult, TrialState
from services.store.ports.results import FinishOutcome, FoldReport, OrderKind, TrialOrder
from tests.integration.store.scenario import Scenario, failure, new_trials, success

DONE, DUPLICATE, FENCED = FinishOutcome.DONE, FinishOutcome.DUPLICATE, FinishOutcome.FENCED


async def test_trials_are_numbered_over_the_orchestration(scenario: Scenario) -> None:
    orchestration = await scenario.start(stages=(2,))
    first, second = orchestration.stages[0].tuning_runs
    await scenario.queue(first.tuning_run_id, 2)
    made = await scenario.queue(second.tuning_run_id, 2)
    assert (made.first_number, made.created, made.remaining) == (2, 2, 1)
    queued = [
        payload
        for _, payload in await scenario.events(orchestration.orchestration_id)
        if isinstance(payload, TrialsQueued)
    ]
    assert [(each.first_number, each.count) for each in queued] == [(0, 2), (2, 2)]
    await scenario.check(orchestration.orchestration_id)


async def test_a_budget_is_exact(scenario: Scenario) -> None:
    orchestration = await scenario.start(planned=5)
    run = orchestration.stages[0].tuning_runs[0].tuning_run_id
    assert (await scenario.queue(run, 4)).created == 4
    made = await scenario.queue(run, 4, first=4)
    assert (made.first_number, made.created, made.remaining) == (4, 1, 0)
    assert (await scenario.queue(run, 3, first=5)).created == 0
    await scenario.check(orchestration.orchestration_id)


async def test_a_suggestion_is_stored_once(scenario: Scenario) -> None:
    orchestration = await scenario.start(planned=6)
    run = orchestration.stages[0].tuning_runs[0].tuning_run_id
    first = await scenario.queue(run, 3)
    again = await scenario.queue(run, 3)
    assert (again.first_number, again.created) == (first.first_number, 3)
    longer = await scenario.queue(run, 5)
    assert (longer.first_number, longer.created, longer.remaining) == (0, 5, 1)
    await scenario.check(orchestration.orchestration_id)


async def test_suggestions_come_in_order(scenario: Scenario) -> None:
    orchestration = await scenario.start(planned=6)
    run = orchestration.stages[0].tuning_runs[0].tuning_run_id
    with pytest.raises(InvalidRequest, match="the next one is 0"):
        await scenario.queue(run, 1, first=2)
    with pytest.raises(InvalidRequest, match="in order"):
        await scenario.cases.creation.create(
            run, epoch=0, trials=[*new_trials(1), *new_trials(1, first=2)]
        )
    with pytest.raises(Conflict, match="epoch"):
        await scenario.cases.creation.create(run, epoch=7, trials=new_trials(1))


async def test_a_claim_repeated_gives_the_same_trials(scenario: Scenario) -> None:
    orchestration = await scenario.start()
    run = orchestration.stages[0].tuning_runs[0]
    await scenario.queue(run.tuning_run_id, 3)
    session, claim_id = await scenario.session(), str(uuid.uuid4())
    first = await scenario.claim(session, run, [0, 1], claim_id=claim_id)
    again = await scenario.claim(session, run, [0, 1], claim_id=claim_id)
    assert first == again
    assert [each.number for each in again.trials] == [0, 1]
    other = await scenario.claim(session, run, [0, 1, 2])
    assert ([each.number for each in other.trials], other.stale) == ([2], (0, 1))
    await scenario.check(orchestration.orchestration_id)


async def test_a_claim_of_another_attempt_or_run_is_stale(scenario: Scenario) -> None:
    orchestration = await scenario.start(stages=(2,))
    first, second = orchestration.stages[0].tuning_runs
    await scenario.queue(first.tuning_run_id, 1)
    session = await scenario.session()
    assert (await scenario.claim(session, first, [0], attempt=1)).stale == (0,)
    assert (await scenario.claim(session, second, [0])).stale == (0,)
    assert (await scenario.claim(session, first, [99])).stale == (99,)


async def test_no_more_trials_run_than_allowed(scenario: Scenario) -> None:
    orchestration = await scenario.start(planned=10, max_concurrent=3)
    run = orchestration.stages[0].tuning_runs[0]
    await scenario.queue(run.tuning_run_id, 10)
    sessions = [await scenario.session(name=f"w{place}") for place in range(5)]
    claims = await asyncio.gather(
        *(
            scenario.claim(session, run, [2 * place, 2 * place + 1])
            for place, session in enumerate(sessions)
        )
    )
    assert sum(len(each.trials) for each in claims) == 3
    assert sum(len(each.later) for each in claims) == 7
    running = [trial.number for each in claims for trial in each.trials]
    await scenario.finish(success(orchestration.orchestration_id, running[0]))
    later = [number for each in claims for number in each.later]
    assert len((await scenario.claim(sessions[0], run, later)).trials) == 1
    await scenario.check(orchestration.orchestration_id)


async def test_a_session_that_has_ended_claims_nothing(scenario: Scenario) -> None:
    orchestration = await scenario.start()
    run = orchestration.stages[0].tuning_runs[0]
    await scenario.queue(run.tuning_run_id, 1)
    session = await scenario.session()
    await scenario.cases.sessions.close(session)
    with pytest.raises(WrongState, match="register"):
        await scenario.claim(session, run, [0])
    with pytest.raises(NotFound, match="session"):
        await scenario.claim(str(uuid.uuid4()), run, [0])


async def test_starts_are_told_until_trials_are_known_to_be_short(scenario: Scenario) -> None:
    orchestration, run, session = await scenario.started(count=1)
    identifier = orchestration.orchestration_id
    await scenario.finish(success(identifier, 0, seconds=0.01))
    await scenario.queue(run.tuning_run_id, 2, first=1)
    await scenario.claim(session, run, [1, 2])
    starts = [
        payload
        for _, payload in await scenario.events(identifier)
        if isinstance(payload, TrialStarted)
    ]
    assert starts == [
        TrialStarted(number=0, attempt=0, worker="w1", tuning_run_id=run.tuning_run_id)
    ]


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


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
async def test_a_score_that_is_not_finite_fails_the_trial(scenario: Scenario, bad: float) -> None:
    orchestration, _, _ = await scenario.started(count=2)
    identifier = orchestration.orchestration_id
    assert await scenario.finish(success(identifier, 0, 0.5, bad)) == [DONE]
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
    orchestration, _, _ = await scenario.started(count=1)
    identifier = orchestration.orchestration_id
    result = TrialResult(
        trial=TrialKey(orchestration_id=identifier, number=0, attempt=0),
        state=TrialState.SUCCEEDED,
        metrics=(
            SplitScores(metric="accuracy", scores=(0.5, 0.7)),
            SplitScores(metric="f1", scores=(math.nan, 0.7)),
        ),
    )
    assert await scenario.finish(result) == [DONE]
    shown = await scenario.cases.runs.orchestration(identifier)
    assert shown.counts.succeeded == 1


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


async def test_a_crash_is_tried_once_more_and_is_poison_on_another_worker(
    scenario: Scenario,
) -> None:
    orchestration, run, _ = await scenario.started(count=2)
    identifier = orchestration.orchestration_id
    crash = FailureKind.CRASH
    assert await scenario.finish(failure(identifier, 0, crash), failure(identifier, 1, crash)) == [
        DONE,
        DONE,
    ]
    requeued = [
        payload
        for _, payload in await scenario.events(identifier)
        if isinstance(payload, TrialRequeued)
    ]
    assert requeued == [
        TrialRequeued(number=0, attempt=1, cause=crash),
        TrialRequeued(number=1, attempt=1, cause=crash),
    ]
    # Each travels alone.
    batches = (await scenario.cases.hand_outs.hand_out()).hand_outs
    assert [each.batch.trials for each in batches] == [((0, 1),), ((1, 1),)]
    other = await scenario.session(name="w2")
    await scenario.claim(other, run, [0, 1], attempt=1)
    assert await scenario.finish(
        failure(identifier, 0, crash, attempt=1), success(identifier, 1, attempt=1)
    ) == [DONE, DONE]
    trials, _ = await scenario.cases.runs.trials(
        orchestration_id=identifier,
        tuning_run_id=run.tuning_run_id,
        states=(TrialState.FAILED,),
        min_score=None,
        order=TrialOrder.NUMBER,
        page_size=None,
        page_token="",
    )
    assert [each.failure.kind for each in trials if each.failure] == [FailureKind.POISON]
    await scenario.check(identifier)


async def test_folds_are_told_once_and_in_order(scenario: Scenario) -> None:
    orchestration, _, _ = await scenario.started(count=2)
    identifier = orchestration.orchestration_id
    key = TrialKey(orchestration_id=identifier, number=0, attempt=0)
    report = scenario.cases.results.report_folds
    folds = [FoldReport(trial=key, split=1, score=0.7), FoldReport(trial=key, split=0, score=0.5)]
    assert await report(folds) == []
    assert await report(folds) == []
    scored = [
        payload
        for _, payload in await scenario.events(identifier)
        if isinstance(payload, FoldScored)
    ]
    assert [(each.split, each.score) for each in scored] == [(0, 0.5), (1, 0.7)]
    old = TrialKey(orchestration_id=identifier, number=1, attempt=4)
    stranger = TrialKey(orchestration_id="nonsense", number=1, attempt=0)
    orders = await report(
        [FoldReport(trial=old, split=0, score=1.0), FoldReport(trial=stranger, split=0, score=1.0)]
    )
    assert {each.trial for each in orders} == {old, stranger}
    await scenario.check(identifier)

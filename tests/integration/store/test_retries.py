"""What is tried again: crashes on other workers, losses, trouble of workers; never what would only recur."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from services.core.event import (
    TrialFinished,
    TrialRequeued,
)
from services.core.trial import Failure, FailureKind, TrialKey, TrialState
from services.store.ports.results import FinishOutcome, TrialOrder
from tests.integration.store.scenario import Scenario, failure, success, trial_key

DONE = FinishOutcome.DONE


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


async def _crash(scenario: Scenario) -> tuple[str, Any, str]:
    """Lets trial 0 bring down a child of w1. Returns: orchestration, tuning run, w1's session."""
    orchestration, run, session = await scenario.started(count=1, planned=4)
    identifier = orchestration.orchestration_id
    await scenario.finish(failure(identifier, 0, FailureKind.CRASH))
    return identifier, run, session


async def _time_passes(scenario: Scenario) -> None:
    async with scenario.database.writing() as connection:
        await connection.execute(
            "UPDATE crescendo.trials SET not_before = now() WHERE not_before > now()"
        )


async def test_a_trial_that_crashed_goes_to_another_worker(scenario: Scenario) -> None:
    identifier, run, first = await _crash(scenario)
    second = await scenario.session(name="w2")
    for _ in range(2):
        assert [
            each.batch.trials for each in (await scenario.cases.hand_outs.hand_out()).hand_outs
        ] == [((0, 1),)]
        answer = await scenario.claim(first, run, [0], attempt=1)
        assert (answer.trials, answer.later, answer.stale) == ((), (0,), ())
        # Not at once: a message that goes round and round would be in everybody's way.
        assert (await scenario.cases.hand_outs.hand_out()).hand_outs == ()
        await _time_passes(scenario)
    assert len((await scenario.claim(second, run, [0], attempt=1)).trials) == 1
    await scenario.check(identifier)


async def test_trials_for_other_workers_do_not_come_back_in_step(scenario: Scenario) -> None:
    # A broker that serves two workers in turn would bring each to the wrong one for ever.
    identifier, run, first = await _crash(scenario)
    await scenario.session(name="w2")
    delays = set()
    for _ in range(8):
        assert (await scenario.claim(first, run, [0], attempt=1)).later == (0,)
        async with scenario.database.reading() as connection:
            delays.add(
                await connection.fetchval(
                    "SELECT round(extract(epoch FROM not_before - now())::numeric, 2)"
                    " FROM crescendo.trials WHERE orchestration_id = $1",
                    identifier,
                )
            )
    assert len(delays) > 4
    assert 0 < min(delays) <= max(delays) <= 2


async def test_a_trial_that_crashed_runs_where_it_was_when_no_other_worker_comes(
    scenario: Scenario,
) -> None:
    identifier, run, session = await _crash(scenario)
    await scenario.session(name="w2", worker_class="gpu")
    assert (await scenario.claim(session, run, [0], attempt=1)).later == (0,)
    await _time_passes(scenario)
    assert len((await scenario.claim(session, run, [0], attempt=1)).trials) == 1
    await scenario.check(identifier)


async def test_other_trials_of_the_message_are_not_held_up_by_one_that_crashed(
    scenario: Scenario,
) -> None:
    _, run, session = await _crash(scenario)
    await scenario.session(name="w2")
    await scenario.queue(run.tuning_run_id, 1, first=1)
    claimed = await scenario.cases.claims.claim(
        session_id=session,
        claim_id=str(uuid.uuid4()),
        orchestration_id=run.orchestration_id,
        tuning_run_id=run.tuning_run_id,
        trials=[(0, 1), (1, 0)],
    )
    assert ([each.number for each in claimed.trials], claimed.later) == ([1], (0,))


async def test_a_worker_cannot_say_what_only_the_store_can_know(scenario: Scenario) -> None:
    orchestration, _, _ = await scenario.started(count=2)
    identifier = orchestration.orchestration_id
    await scenario.finish(
        failure(identifier, 0, FailureKind.LOST), failure(identifier, 1, FailureKind.POISON)
    )
    kinds = [
        payload.failure.kind
        for _, payload in await scenario.events(identifier)
        if isinstance(payload, TrialFinished) and payload.failure
    ]
    assert kinds == [FailureKind.EXCEPTION] * 2


async def test_trouble_of_workers_is_no_strike_and_lasts_an_hour(scenario: Scenario) -> None:
    orchestration, run, session = await scenario.started(count=1)
    identifier = orchestration.orchestration_id
    infra = FailureKind.INFRA
    for attempt in range(12):
        if attempt:
            assert len((await scenario.claim(session, run, [0], attempt=attempt)).trials) == 1
        assert await scenario.finish(failure(identifier, 0, infra, attempt=attempt)) == [DONE]
    async with scenario.database.writing() as connection:
        row = await connection.fetchrow(
            "SELECT state, attempt, lost_strikes, crash_strikes, oom_strikes, infra_failures,"
            " not_before > queued_at AS waits FROM crescendo.trials"
        )
        assert tuple(row) == ("queued", 12, 0, 0, 0, 12, True)
        await connection.execute(
            "UPDATE crescendo.trials SET infra_since = infra_since - interval '1 hour'"
        )
    await scenario.claim(session, run, [0], attempt=12)
    assert await scenario.finish(
        failure(identifier, 0, infra, attempt=12, message="no dataset")
    ) == [DONE]
    (ended,) = [
        payload
        for _, payload in await scenario.events(identifier)
        if isinstance(payload, TrialFinished)
    ]
    assert ended.failure == Failure(kind=infra, message="no dataset")
    await scenario.check(identifier)


@pytest.mark.parametrize(
    "kind",
    [
        FailureKind.EXCEPTION,
        FailureKind.INVALID_PARAMETERS,
        FailureKind.TIMEOUT,
        FailureKind.NON_FINITE,
        FailureKind.RESULT_TOO_LARGE,
    ],
)
async def test_what_would_only_happen_again_is_not_tried_again(
    scenario: Scenario, kind: FailureKind
) -> None:
    orchestration, _, _ = await scenario.started(count=1)
    identifier = orchestration.orchestration_id
    await scenario.finish(failure(identifier, 0, kind))
    (ended,) = [
        payload
        for _, payload in await scenario.events(identifier)
        if isinstance(payload, TrialFinished)
    ]
    assert ended.failure is not None
    assert ended.failure.kind is kind


async def test_strikes_of_one_kind_leave_those_of_others_alone(scenario: Scenario) -> None:
    orchestration, run, session = await scenario.started(count=1)
    identifier = orchestration.orchestration_id
    other = await scenario.session(name="w2")
    await scenario.cases.requeueing.lost(
        session, [TrialKey(orchestration_id=identifier, number=0, attempt=0)]
    )
    for attempt, (holder, kind) in enumerate(
        ((session, FailureKind.OOM), (other, FailureKind.CRASH), (session, FailureKind.INFRA)), 1
    ):
        claimed = await scenario.claim(holder, run, [0], attempt=attempt)
        assert len(claimed.trials) == 1
        assert await scenario.finish(failure(identifier, 0, kind, attempt=attempt)) == [DONE]
    async with scenario.database.reading() as connection:
        row = await connection.fetchrow(
            "SELECT state, attempt, lost_strikes, crash_strikes, oom_strikes, infra_failures"
            " FROM crescendo.trials"
        )
    assert tuple(row) == ("queued", 4, 1, 1, 1, 1)
    # A second time out of memory is the end, whatever else has happened.
    await scenario.claim(session, run, [0], attempt=4)
    await scenario.finish(failure(identifier, 0, FailureKind.OOM, attempt=4))
    (ended,) = [
        payload
        for _, payload in await scenario.events(identifier)
        if isinstance(payload, TrialFinished)
    ]
    assert ended.failure is not None
    assert ended.failure.kind is FailureKind.OOM
    await scenario.check(identifier)


async def test_nobody_gives_back_what_another_worker_runs(scenario: Scenario) -> None:
    orchestration, _, session = await scenario.started(count=1)
    key = TrialKey(orchestration_id=orchestration.orchestration_id, number=0, attempt=0)
    other = await scenario.session(name="w2")
    assert await scenario.cases.requeueing.handed_back(other, [key]) == 0
    assert await scenario.cases.requeueing.lost(other, [key]) == 0
    assert await scenario.cases.requeueing.handed_back(session, [key]) == 1


async def test_a_trial_lost_too_often_fails(scenario: Scenario) -> None:
    orchestration, run, session = await scenario.started(count=1)
    identifier = orchestration.orchestration_id
    lost = scenario.cases.requeueing.lost
    for attempt in range(6):
        if attempt:
            claimed = await scenario.claim(session, run, [0], attempt=attempt)
            assert len(claimed.trials) == 1
        assert await lost(session, [trial_key(identifier, 0, attempt)]) == 1
    finished = [
        payload
        for _, payload in await scenario.events(identifier)
        if isinstance(payload, TrialFinished)
    ]
    assert [(each.state, each.failure.kind) for each in finished if each.failure] == [
        (TrialState.FAILED, FailureKind.LOST)
    ]
    await scenario.check(identifier)


async def test_the_second_loss_waits_before_it_is_offered_again(scenario: Scenario) -> None:
    orchestration, run, session = await scenario.started(count=1)
    identifier = orchestration.orchestration_id
    await scenario.cases.requeueing.lost(session, [trial_key(identifier, 0)])
    handed_out = await scenario.cases.hand_outs.hand_out()
    assert [each.batch.trials for each in handed_out.hand_outs] == [((0, 1),)]
    await scenario.claim(session, run, [0], attempt=1)
    await scenario.cases.requeueing.lost(session, [trial_key(identifier, 0, 1)])
    async with scenario.database.writing() as connection:
        assert await connection.fetchval("SELECT not_before > queued_at FROM crescendo.trials")
        await connection.execute(
            "UPDATE crescendo.trials SET not_before = now() + interval '1 minute'"
        )
    assert (await scenario.cases.hand_outs.hand_out()).hand_outs == ()

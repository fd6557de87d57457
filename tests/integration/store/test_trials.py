"""Trials: exact budgets, suggestions stored once, claims by compare-and-set."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from services.core.errors import Conflict, InvalidRequest, NotFound, WrongState
from services.core.event import (
    TrialsQueued,
    TrialStarted,
)
from tests.integration.store.scenario import Scenario, new_trials, success


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

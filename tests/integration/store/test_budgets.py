"""Budgets: trials exact, failures, time on the database's clock."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from services.core.budget import Budget
from services.core.errors import WrongState
from services.core.event import OrchestrationChanged
from services.core.plan import LifecycleState
from services.core.trial import FailureKind, TrialKey
from services.store.ports.results import FinishOutcome
from services.store.service.plans import Change
from tests.integration.store.clock import Clock
from tests.integration.store.scenario import Scenario, failure, new_trials, success

STATE = LifecycleState


# --- trials ---------------------------------------------------------------------------------------


async def test_six_creators_and_twenty_trials_give_exactly_twenty(scenario: Scenario) -> None:
    orchestration = await scenario.start(
        stages=(3,), planned=20, budget=Budget(max_trials=20), methods=("random_search",)
    )
    identifier = orchestration.orchestration_id
    runs = orchestration.stages[0].tuning_runs

    async def create(place: int) -> int:
        run, made, left = runs[place % 3], 0, 1
        while left:
            created = await scenario.cases.creation.create(
                run.tuning_run_id, epoch=0, trials=new_trials(3, made)
            )
            made += created.created
            left = created.remaining
        return left

    assert await asyncio.gather(*(create(place) for place in range(6))) == [0] * 6
    now = await scenario.cases.runs.orchestration(identifier)
    assert now.counts.queued == 20
    again = await scenario.queue(
        runs[0].tuning_run_id, 5, first=now.stages[0].tuning_runs[0].counts.queued
    )
    assert (again.created, again.remaining) == (0, 0)
    await scenario.check(identifier)


async def test_six_workers_and_twenty_trials_run_exactly_twenty(scenario: Scenario) -> None:
    orchestration = await scenario.start(
        planned=50, budget=Budget(max_trials=20), methods=("random_search",)
    )
    identifier = orchestration.orchestration_id
    (run,) = orchestration.stages[0].tuning_runs
    made = await scenario.queue(run.tuning_run_id, 50)
    assert (made.created, made.remaining) == (20, 0)
    sessions = [await scenario.session(name=f"w{place}") for place in range(6)]
    claims = await asyncio.gather(
        *(scenario.claim(session, run, range(20)) for session in sessions)
    )
    taken = [trial.number for each in claims for trial in each.trials]
    assert sorted(taken) == list(range(20))
    await scenario.finish(*(success(identifier, number) for number in taken))
    closed = await scenario.close(orchestration, run)
    assert (closed.state, closed.counts.succeeded) == (STATE.COMPLETED, 20)
    await scenario.check(identifier)


async def test_a_plan_ends_where_its_trials_do(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started(
        count=3, planned=5, stages=(1, 2, 1), budget=Budget(max_trials=3), combinations=None
    )
    identifier = orchestration.orchestration_id
    await scenario.finish(*(success(identifier, number) for number in range(3)))
    closed = await scenario.close(orchestration, run)
    assert (closed.state, closed.reason) == (STATE.COMPLETED, "BUDGET_SPENT")
    assert [each.state for each in closed.stages] == [
        STATE.COMPLETED,
        STATE.CANCELLED,
        STATE.CANCELLED,
    ]
    assert {
        (each.state, each.reason) for stage in closed.stages[1:] for each in stage.tuning_runs
    } == {(STATE.CANCELLED, "BUDGET_SPENT")}
    await scenario.check(identifier)


async def test_models_that_got_no_trial_of_the_budget_are_cancelled(scenario: Scenario) -> None:
    orchestration = await scenario.start(
        stages=(3,), planned=5, max_active=2, budget=Budget(max_trials=2), methods=("bayesian",)
    )
    identifier = orchestration.orchestration_id
    first, second, third = orchestration.stages[0].tuning_runs
    await scenario.queue(first.tuning_run_id, 2)
    await scenario.claim(await scenario.session(), first, [0, 1])
    await scenario.finish(success(identifier, 0), success(identifier, 1))
    await scenario.close(orchestration, second, STATE.FAILED)
    closed = await scenario.close(orchestration, first)
    assert (closed.state, closed.reason) == (STATE.COMPLETED, "BUDGET_SPENT")
    states = {
        each.tuning_run_id: (each.state, each.reason) for each in closed.stages[0].tuning_runs
    }
    assert states == {
        first.tuning_run_id: (STATE.COMPLETED, "BUDGET_SPENT"),
        second.tuning_run_id: (STATE.CANCELLED, "BUDGET_SPENT"),
        third.tuning_run_id: (STATE.CANCELLED, "BUDGET_SPENT"),
    }
    await scenario.check(identifier)


async def test_a_budget_as_large_as_the_plan_changes_nothing(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started(count=3, budget=Budget(max_trials=3))
    identifier = orchestration.orchestration_id
    await scenario.finish(*(success(identifier, number) for number in range(3)))
    closed = await scenario.close(orchestration, run)
    assert (closed.state, closed.reason) == (STATE.COMPLETED, "COMPLETED")


# --- failures -------------------------------------------------------------------------------------


async def test_one_failure_more_than_allowed_ends_the_search_at_once(scenario: Scenario) -> None:
    orchestration, run, session = await scenario.started(
        count=5, planned=9, stages=(1, 1), budget=Budget(max_failed_trials=1)
    )
    identifier = orchestration.orchestration_id
    await scenario.queue(run.tuning_run_id, 2, first=5)
    await scenario.finish(success(identifier, 0, 0.9, 0.9), failure(identifier, 1))
    assert (await scenario.cases.runs.orchestration(identifier)).state is STATE.RUNNING
    assert await scenario.finish(failure(identifier, 2)) == [FinishOutcome.DONE]
    ended = await scenario.cases.runs.orchestration(identifier)
    assert (ended.state, ended.reason) == (STATE.FAILED, "TOO_MANY_FAILURES")
    assert "2 trials failed, the limit is 1" in ended.message
    assert (ended.counts.cancelled, ended.counts.failed, ended.counts.succeeded) == (4, 2, 1)
    assert ended.best is not None
    assert ended.best.score == 0.9
    stops = await scenario.cases.sessions.beat(
        session,
        held=[TrialKey(orchestration_id=identifier, number=each, attempt=0) for each in (3, 4)],
        free_slots=0,
    )
    assert sorted(each.trial.number for each in stops) == [3, 4]
    assert await scenario.finish(success(identifier, 3)) == [FinishOutcome.FENCED]
    await scenario.check(identifier)


async def test_lost_trials_count_as_failures_and_retried_ones_do_not(scenario: Scenario) -> None:
    orchestration, run, _session = await scenario.started(
        count=1, planned=9, budget=Budget(max_failed_trials=0)
    )
    identifier = orchestration.orchestration_id
    await scenario.finish(failure(identifier, 0, FailureKind.CRASH))
    assert (await scenario.cases.runs.orchestration(identifier)).state is STATE.RUNNING
    for attempt in range(1, 7):
        async with scenario.database.writing() as connection:
            await connection.execute("UPDATE crescendo.trials SET not_before = NULL")
        other = await scenario.session(name=f"other-{attempt}")
        assert (await scenario.claim(other, run, [0], attempt=attempt)).trials
        key = TrialKey(orchestration_id=identifier, number=0, attempt=attempt)
        await scenario.cases.requeueing.lost(other, [key])
    ended = await scenario.cases.runs.orchestration(identifier)
    assert (ended.state, ended.reason) == (STATE.FAILED, "TOO_MANY_FAILURES")
    await scenario.check(identifier)


async def test_failures_told_in_one_message_end_the_search_with_the_first_beyond_the_limit(
    scenario: Scenario,
) -> None:
    orchestration, _, _ = await scenario.started(
        count=6, planned=9, budget=Budget(max_failed_trials=2)
    )
    identifier = orchestration.orchestration_id
    told = [failure(identifier, number) for number in (0, 1, 2, 3)]
    outcomes = await scenario.finish(*told, success(identifier, 4), failure(identifier, 0))
    done, fenced = FinishOutcome.DONE, FinishOutcome.FENCED
    assert outcomes == [done, done, done, fenced, fenced, FinishOutcome.DUPLICATE]
    ended = await scenario.cases.runs.orchestration(identifier)
    assert (ended.state, ended.reason) == (STATE.FAILED, "TOO_MANY_FAILURES")
    assert (ended.counts.failed, ended.counts.cancelled) == (3, 3)
    await scenario.check(identifier)


async def test_trials_lost_together_end_the_search_with_the_first_beyond_the_limit(
    scenario: Scenario,
) -> None:
    orchestration, _, session = await scenario.started(
        count=4,
        planned=9,
        budget=Budget(max_failed_trials=1, price_per_hour=3600, trial_timeout_seconds=5),
    )
    identifier = orchestration.orchestration_id
    async with scenario.database.writing() as connection:
        await connection.execute("UPDATE crescendo.trials SET lost_strikes = 5 WHERE number < 3")
    keys = [
        TrialKey(orchestration_id=identifier, number=number, attempt=0) for number in (3, 0, 1, 2)
    ]
    await scenario.cases.requeueing.lost(session, keys)
    ended = await scenario.cases.runs.orchestration(identifier)
    assert (ended.state, ended.reason) == (STATE.FAILED, "TOO_MANY_FAILURES")
    assert (ended.counts.failed, ended.counts.cancelled) == (2, 2)
    await scenario.check(identifier)


@pytest.mark.parametrize("seed", range(6))
async def test_many_failures_at_once_end_the_search_once(scenario: Scenario, seed: int) -> None:
    orchestration, _run, _ = await scenario.started(
        count=20, planned=40, stages=(2, 1), budget=Budget(max_failed_trials=3)
    )
    identifier = orchestration.orchestration_id
    random = Random(seed)
    other = orchestration.stages[0].tuning_runs[1]

    async def finish(number: int) -> None:
        await asyncio.sleep(random.random() / 100)
        done = failure if random.random() < 0.5 else success
        await scenario.finish(done(identifier, number))

    async def create() -> None:
        try:
            await scenario.queue(other.tuning_run_id, 5)
        except WrongState:
            return

    await asyncio.gather(create(), *(finish(number) for number in range(20)))
    ended = await scenario.cases.runs.orchestration(identifier)
    assert (ended.state, ended.reason) == (STATE.FAILED, "TOO_MANY_FAILURES")
    assert ended.counts.failed == 4
    await scenario.check(identifier)


# --- time -----------------------------------------------------------------------------------------


async def test_a_search_ends_at_its_deadline_and_pauses_do_not_count(
    clock: Clock, scenario: Scenario
) -> None:
    orchestration, _run, _session = await scenario.started(
        count=2, planned=9, stages=(2, 1), budget=Budget(max_seconds=60)
    )
    identifier = orchestration.orchestration_id
    tick = scenario.cases.keeper.tick
    change = scenario.cases.plans.change
    await scenario.finish(success(identifier, 0))
    await clock.advance(40)
    await tick()
    assert (await change(identifier, Change.PAUSE)).used.active_seconds == pytest.approx(40)
    await clock.advance(1000)
    await tick()
    paused = await scenario.cases.runs.orchestration(identifier)
    assert paused.state is STATE.PAUSED
    assert paused.used.active_seconds == pytest.approx(40)
    await change(identifier, Change.RESUME)
    await clock.advance(19)
    await tick()
    running = await scenario.cases.runs.orchestration(identifier)
    assert running.state is STATE.RUNNING
    assert running.used.active_seconds == pytest.approx(59)
    await clock.advance(1)
    await asyncio.gather(*(tick() for _ in range(4)))
    ended = await scenario.cases.runs.orchestration(identifier)
    assert (ended.state, ended.reason) == (STATE.COMPLETED, "DEADLINE_REACHED")
    assert "60 s" in ended.message
    assert ended.used.active_seconds == pytest.approx(60)
    first, second = ended.stages[0].tuning_runs
    assert (first.state, second.state) == (STATE.COMPLETED, STATE.FAILED)
    assert ended.stages[1].state is STATE.CANCELLED
    assert ended.counts.cancelled == 1
    finals = [
        payload
        for _, payload in await scenario.events(identifier)
        if isinstance(payload, OrchestrationChanged) and payload.final
    ]
    assert len(finals) == 1
    await scenario.check(identifier)


async def test_nothing_starts_between_the_deadline_and_the_end(
    clock: Clock, scenario: Scenario
) -> None:
    orchestration = await scenario.start(planned=9, budget=Budget(max_seconds=60))
    identifier = orchestration.orchestration_id
    (run,) = orchestration.stages[0].tuning_runs
    await scenario.queue(run.tuning_run_id, 2)
    session = await scenario.session()
    assert (await scenario.claim(session, run, [0])).trials
    await clock.advance(61)
    made = await scenario.queue(run.tuning_run_id, 2, first=2)
    assert (made.created, made.remaining) == (0, 0)
    assert (await scenario.claim(session, run, [1])).later == (1,)
    assert (await scenario.cases.hand_outs.hand_out()).hand_outs == ()
    # What ran is not thrown away for the moment between.
    assert await scenario.finish(success(identifier, 0)) == [FinishOutcome.DONE]
    ended = await scenario.cases.plans.change(identifier, Change.PAUSE)
    assert (ended.state, ended.reason) == (STATE.COMPLETED, "DEADLINE_REACHED")
    await scenario.check(identifier)


async def test_a_search_without_a_success_fails_at_its_deadline(
    clock: Clock, scenario: Scenario
) -> None:
    orchestration, run, _ = await scenario.started(
        count=1, planned=9, budget=Budget(max_seconds=10)
    )
    await clock.advance(10)
    closed = await scenario.close(orchestration, run, STATE.FAILED)
    assert (closed.state, closed.reason) == (STATE.FAILED, "DEADLINE_REACHED")
    await scenario.check(orchestration.orchestration_id)


async def test_the_time_left_is_no_more_than_the_budgets(clock: Clock, scenario: Scenario) -> None:
    orchestration, _run, _ = await scenario.started(
        count=1, planned=100, combinations=None, budget=Budget(max_seconds=60, max_trials=50)
    )
    identifier = orchestration.orchestration_id
    await scenario.finish(success(identifier, 0, seconds=1.0))
    now = await scenario.cases.runs.orchestration(identifier)
    # Two slots, 49 trials of a second.
    assert now.timings.remaining_seconds == pytest.approx(24.5)
    await clock.advance(50)
    now = await scenario.cases.runs.orchestration(identifier)
    assert now.timings.remaining_seconds == pytest.approx(10)


async def test_the_end_is_the_last_event_even_when_a_better_trial_comes_with_it(
    scenario: Scenario,
) -> None:
    orchestration, _, _ = await scenario.started(count=2, budget=Budget(max_failed_trials=0))
    identifier = orchestration.orchestration_id
    await scenario.finish(success(identifier, 0), failure(identifier, 1))
    _, last = (await scenario.events(identifier))[-1]
    assert isinstance(last, OrchestrationChanged)
    assert last.final
    await scenario.check(identifier)

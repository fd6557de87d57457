"""Costs: reserved before a trial starts, charged once, never above the limit."""

from __future__ import annotations

import asyncio
import uuid
from random import Random

import pytest

from services.core.budget import Budget
from services.core.plan import LifecycleState
from services.core.trial import TrialKey
from services.store.ports.results import FinishOutcome
from services.store.service.plans import Change
from tests.integration.store.clock import Clock
from tests.integration.store.scenario import Scenario, failure, success

STATE = LifecycleState
# A second of a slot costs 1; a trial takes 10 at most.
PRICED = Budget(max_cost=30, price_per_hour=3600, trial_timeout_seconds=10)


async def test_an_attempt_starts_when_its_longest_run_can_be_paid(
    clock: Clock, scenario: Scenario
) -> None:
    orchestration = await scenario.start(planned=9, budget=PRICED, combinations=None)
    identifier = orchestration.orchestration_id
    (run,) = orchestration.stages[0].tuning_runs
    await scenario.queue(run.tuning_run_id, 6)
    session = await scenario.session()
    claimed = await scenario.claim(session, run, range(6))
    assert ([each.number for each in claimed.trials], claimed.later) == ([0, 1, 2], (3, 4, 5))
    now = await scenario.cases.runs.orchestration(identifier)
    assert (now.used.cost, now.used.reserved_cost) == pytest.approx((0, 30))
    assert (await scenario.cases.hand_outs.hand_out()).hand_outs == ()
    await clock.advance(4)
    await scenario.finish(success(identifier, 0, seconds=2.0))
    now = await scenario.cases.runs.orchestration(identifier)
    assert (now.used.cost, now.used.reserved_cost) == pytest.approx((2, 20))
    assert (await scenario.claim(session, run, [3])).later == (3,)
    await scenario.finish(success(identifier, 1, seconds=8.0), success(identifier, 2, seconds=0.0))
    now = await scenario.cases.runs.orchestration(identifier)
    # Told more than has passed, and told nothing: what has passed.
    assert (now.used.cost, now.used.reserved_cost) == pytest.approx((10, 0))
    assert len((await scenario.claim(session, run, [3, 4, 5])).trials) == 2
    await scenario.check(identifier)


async def test_a_search_that_can_pay_for_nothing_more_ends(
    clock: Clock, scenario: Scenario
) -> None:
    orchestration = await scenario.start(planned=9, budget=PRICED, stages=(1, 1), combinations=None)
    identifier = orchestration.orchestration_id
    run = orchestration.stages[0].tuning_runs[0]
    await scenario.queue(run.tuning_run_id, 6)
    session = await scenario.session()
    await scenario.claim(session, run, [0, 1, 2])
    await clock.advance(9)
    await scenario.finish(*(success(identifier, number, seconds=9.0) for number in (0, 1)))
    await scenario.cases.keeper.tick()
    assert (await scenario.cases.runs.orchestration(identifier)).state is STATE.RUNNING
    await scenario.finish(success(identifier, 2, seconds=9.0))
    await asyncio.gather(*(scenario.cases.keeper.tick() for _ in range(3)))
    ended = await scenario.cases.runs.orchestration(identifier)
    assert (ended.state, ended.reason) == (STATE.COMPLETED, "COST_SPENT")
    assert (ended.used.cost, ended.counts.cancelled) == pytest.approx((27, 3))
    await scenario.check(identifier)


async def test_a_lost_attempt_keeps_its_reservation_until_nothing_can_come_of_it(
    clock: Clock, scenario: Scenario
) -> None:
    orchestration = await scenario.start(planned=9, budget=PRICED, combinations=None)
    identifier = orchestration.orchestration_id
    (run,) = orchestration.stages[0].tuning_runs
    await scenario.queue(run.tuning_run_id, 2)
    session = await scenario.session()
    await scenario.claim(session, run, [0, 1])
    keys = [TrialKey(orchestration_id=identifier, number=each, attempt=0) for each in (0, 1)]
    await clock.advance(3)
    await scenario.cases.requeueing.lost(session, keys)
    await scenario.cases.keeper.tick()
    now = await scenario.cases.runs.orchestration(identifier)
    assert (now.used.cost, now.used.reserved_cost) == pytest.approx((0, 20))
    # One of them comes back late: charged for what it took, once; the success counts.
    late = success(identifier, 0, seconds=6.0)
    await clock.advance(4)
    assert await scenario.finish(late, late) == [FinishOutcome.DONE, FinishOutcome.DUPLICATE]
    assert await scenario.finish(late) == [FinishOutcome.DUPLICATE]
    now = await scenario.cases.runs.orchestration(identifier)
    assert (now.used.cost, now.used.reserved_cost) == pytest.approx((6, 10))
    # Of the other nothing is heard: it is charged until it left.
    await clock.advance(100)
    await asyncio.gather(*(scenario.cases.keeper.tick() for _ in range(3)))
    now = await scenario.cases.runs.orchestration(identifier)
    assert (now.used.cost, now.used.reserved_cost) == pytest.approx((9, 0))
    # Too late to be charged again, but not to count.
    assert await scenario.finish(success(identifier, 1, seconds=9.0)) == [FinishOutcome.DONE]
    now = await scenario.cases.runs.orchestration(identifier)
    assert now.used.cost == pytest.approx(9)
    await scenario.check(identifier)


async def test_a_cancelled_attempt_is_charged_when_its_worker_tells(
    clock: Clock, scenario: Scenario
) -> None:
    orchestration = await scenario.start(planned=9, budget=PRICED, combinations=None)
    identifier = orchestration.orchestration_id
    (run,) = orchestration.stages[0].tuning_runs
    await scenario.queue(run.tuning_run_id, 3)
    session = await scenario.session()
    await scenario.claim(session, run, [0, 1, 2])
    await clock.advance(5)
    await scenario.cases.requeueing.handed_back(
        session, [TrialKey(orchestration_id=identifier, number=2, attempt=0)]
    )
    cancelled = await scenario.cases.plans.change(identifier, Change.CANCEL)
    assert (cancelled.used.cost, cancelled.used.reserved_cost) == pytest.approx((5, 20))
    await clock.advance(1)
    assert await scenario.finish(failure(identifier, 0)) == [FinishOutcome.FENCED]
    await clock.advance(100)
    await scenario.cases.keeper.tick()
    now = await scenario.cases.runs.orchestration(identifier)
    assert (now.used.cost, now.used.reserved_cost) == pytest.approx((5 + 0.01 + 5, 0))
    await scenario.check(identifier)


async def test_a_cancelled_attempt_that_its_worker_gives_up_frees_what_it_reserved(
    clock: Clock, scenario: Scenario
) -> None:
    orchestration = await scenario.start(planned=9, budget=PRICED, combinations=None)
    identifier = orchestration.orchestration_id
    (run,) = orchestration.stages[0].tuning_runs
    await scenario.queue(run.tuning_run_id, 1)
    session, other = await scenario.session(), await scenario.session()
    await scenario.claim(session, run, [0])
    await clock.advance(5)
    await scenario.cases.plans.change(identifier, Change.CANCEL)
    await clock.advance(2)
    key = TrialKey(orchestration_id=identifier, number=0, attempt=0)
    # Charged until it was cancelled, by the word of its own worker alone, and once.
    for giver, expected in ((other, (0, 10)), (session, (5, 0)), (session, (5, 0))):
        await scenario.cases.requeueing.handed_back(giver, [key])
        now = await scenario.cases.runs.orchestration(identifier)
        assert (now.used.cost, now.used.reserved_cost) == pytest.approx(expected)
    await scenario.check(identifier)


async def test_without_a_wall_limit_what_runs_may_exceed_the_limit_and_no_more(
    clock: Clock, scenario: Scenario
) -> None:
    budget = Budget(max_cost=10, price_per_hour=3600)
    orchestration = await scenario.start(planned=9, budget=budget, combinations=None)
    identifier = orchestration.orchestration_id
    (run,) = orchestration.stages[0].tuning_runs
    await scenario.queue(run.tuning_run_id, 4)
    session = await scenario.session()
    assert len((await scenario.claim(session, run, [0, 1, 2])).trials) == 3
    await clock.advance(8)
    key = TrialKey(orchestration_id=identifier, number=2, attempt=0)
    await scenario.cases.requeueing.lost(session, [key])
    await scenario.finish(success(identifier, 0, seconds=7.0))
    now = await scenario.cases.runs.orchestration(identifier)
    assert now.used.cost == pytest.approx(15)
    assert (await scenario.claim(session, run, [3])).later == (3,)
    assert (await scenario.cases.hand_outs.hand_out()).hand_outs == ()
    # What was charged for want of better knowledge is corrected once.
    await scenario.finish(success(identifier, 2, seconds=3.0))
    await scenario.finish(success(identifier, 2, seconds=8.0))
    now = await scenario.cases.runs.orchestration(identifier)
    assert now.used.cost == pytest.approx(10)
    await clock.advance(2)
    await scenario.finish(success(identifier, 1, seconds=9.0))
    await scenario.cases.keeper.tick()
    ended = await scenario.cases.runs.orchestration(identifier)
    assert (ended.state, ended.reason) == (STATE.COMPLETED, "COST_SPENT")
    assert ended.used.cost == pytest.approx(19)
    await scenario.check(identifier)


@pytest.mark.parametrize("seed", range(5))
async def test_six_workers_never_pass_a_cost_limit(scenario: Scenario, seed: int) -> None:
    # A trial may cost 0.1; what really passes is much shorter.
    budget = Budget(max_cost=1.0, price_per_hour=3600, trial_timeout_seconds=0.1)
    orchestration = await scenario.start(planned=200, budget=budget, combinations=None)
    identifier = orchestration.orchestration_id
    (run,) = orchestration.stages[0].tuning_runs
    await scenario.queue(run.tuning_run_id, 200)

    async def work(place: int) -> None:
        random = Random(seed * 100 + place)
        session = await scenario.session(name=f"w{place}")
        for _ in range(25):
            picked = (await scenario.cases.hand_outs.hand_out()).hand_outs
            for each in picked:
                claimed = await scenario.cases.claims.claim(
                    session_id=session,
                    claim_id=str(uuid.uuid4()),
                    orchestration_id=identifier,
                    tuning_run_id=run.tuning_run_id,
                    trials=each.batch.trials,
                )
                for trial in claimed.trials:
                    key = TrialKey(
                        orchestration_id=identifier, number=trial.number, attempt=trial.attempt
                    )
                    done = success(
                        identifier, key.number, attempt=key.attempt, seconds=random.random()
                    )
                    fate = random.random()
                    if fate < 0.2:
                        await scenario.cases.requeueing.lost(session, [key])
                        if fate < 0.1:
                            await scenario.finish(done, done, session_id=session)
                    elif fate < 0.3:
                        await scenario.cases.requeueing.handed_back(session, [key])
                    else:
                        await scenario.finish(done, session_id=session)
                        await scenario.finish(done, session_id=session)
            await asyncio.sleep(random.random() / 100)

    async def look() -> None:
        for _ in range(30):
            now = await scenario.cases.runs.orchestration(identifier)
            assert now.used.cost + now.used.reserved_cost <= 1.0 + 1e-6
            await scenario.cases.keeper.tick()
            await asyncio.sleep(0.01)

    async with asyncio.timeout(150):
        await asyncio.gather(look(), *(work(place) for place in range(6)))
    now = await scenario.cases.runs.orchestration(identifier)
    assert now.used.cost <= 1.0
    assert now.counts.succeeded >= 1
    await scenario.check(identifier)


async def test_an_attempt_is_charged_once_however_often_it_is_told(
    clock: Clock, scenario: Scenario
) -> None:
    orchestration = await scenario.start(planned=9, budget=PRICED, combinations=None)
    identifier = orchestration.orchestration_id
    (run,) = orchestration.stages[0].tuning_runs
    await scenario.queue(run.tuning_run_id, 1)
    await scenario.claim(await scenario.session(), run, [0])
    await clock.advance(5)
    told = success(identifier, 0, seconds=3.0)
    assert await scenario.finish(told, told) == [FinishOutcome.DONE, FinishOutcome.DUPLICATE]
    again = success(identifier, 0, seconds=4.0)
    assert await scenario.finish(again) == [FinishOutcome.DUPLICATE]
    now = await scenario.cases.runs.orchestration(identifier)
    assert (now.used.cost, now.used.reserved_cost) == pytest.approx((3, 0))

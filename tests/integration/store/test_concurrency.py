"""Many at once, on two stores: counters stay exact, sequences gapless, every trial ends once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable
from random import Random

import pytest

from services.core.errors import Conflict, WrongState
from services.core.plan import LifecycleState
from services.core.trial import FailureKind, TrialKey
from services.store.adapters.postgres.database import Database, open_database
from services.store.app import UseCases, use_cases
from services.store.ports.results import FinishOutcome
from services.store.service.plans import Change
from services.store.settings import StoreSettings
from tests.integration.store.scenario import Scenario, failure, success


async def _work(scenario: Scenario, session: str, seed: int, until_ended: int) -> int:
    """Takes what is handed out until the orchestration has so many ended trials. Returns: trials done."""
    random = Random(seed)
    done = 0
    while True:
        handed_out = await scenario.cases.hand_outs.hand_out()
        for each in handed_out.hand_outs:
            batch = each.batch
            claimed = await scenario.cases.claims.claim(
                session_id=session,
                claim_id=str(uuid.uuid4()),
                orchestration_id=batch.orchestration_id,
                tuning_run_id=batch.tuning_run_id,
                trials=batch.trials,
            )
            keys = [
                TrialKey(
                    orchestration_id=batch.orchestration_id,
                    number=trial.number,
                    attempt=trial.attempt,
                )
                for trial in claimed.trials
            ]
            back = [key for key in keys if random.random() < 0.1]
            await scenario.cases.requeueing.handed_back(session, back)
            results = [
                failure(key.orchestration_id, key.number, attempt=key.attempt)
                if random.random() < 0.1
                else success(
                    key.orchestration_id,
                    key.number,
                    random.choice([0.1, 0.5, 0.9]),
                    attempt=key.attempt,
                    seconds=0.05,
                )
                for key in keys
                if key not in back
            ]
            outcomes = await scenario.finish(*results, *results[:1], session_id=session)
            assert outcomes[: len(results)] == [FinishOutcome.DONE] * len(results)
            done += len(results)
        if not handed_out.hand_outs:
            async with scenario.database.reading() as connection:
                ended = await connection.fetchval(
                    "SELECT sum(succeeded + failed)::int FROM crescendo.orchestrations"
                )
            if ended >= until_ended:
                return done
            await asyncio.sleep(0.01)


async def test_workers_of_two_stores_run_every_trial_once(
    scenario: Scenario, settings: StoreSettings, database: Database
) -> None:
    async with open_database(settings.postgres_dsn) as second_database:
        second = Scenario(use_cases(settings, second_database), second_database)
        orchestrations = [await scenario.start(planned=120), await scenario.start(planned=120)]
        for orchestration in orchestrations:
            (run,) = orchestration.stages[0].tuning_runs
            # The same suggestions through both stores, at the same time.
            await asyncio.gather(
                *(
                    each.queue(run.tuning_run_id, 30, first=0)
                    for each in (scenario, second, scenario, second)
                )
            )
            for first in range(30, 150, 30):
                await asyncio.gather(
                    *(each.queue(run.tuning_run_id, 30, first=first) for each in (scenario, second))
                )
        sessions = [await scenario.session(slots=4, name=f"w{place}") for place in range(6)]
        async with asyncio.timeout(150):
            done = await asyncio.gather(
                *(
                    _work((scenario, second)[place % 2], session, place, 240)
                    for place, session in enumerate(sessions)
                )
            )
    assert sum(done) == 240
    for orchestration in orchestrations:
        await scenario.check(orchestration.orchestration_id)


async def test_creating_through_many_callers_never_passes_the_budget(scenario: Scenario) -> None:
    orchestration = await scenario.start(planned=20)
    (run,) = orchestration.stages[0].tuning_runs
    made = await asyncio.gather(*(scenario.queue(run.tuning_run_id, 30) for _ in range(8)))
    assert {each.created for each in made} == {20}
    shown = await scenario.cases.runs.orchestration(orchestration.orchestration_id)
    assert shown.counts.queued == 20
    await scenario.check(orchestration.orchestration_id)


@pytest.mark.parametrize("seed", range(15))
async def test_closing_races_with_finishing_and_is_decided_once(
    scenario: Scenario, seed: int
) -> None:
    orchestration, run, _ = await scenario.started(count=3, stages=(1, 1))
    identifier = orchestration.orchestration_id
    await scenario.finish(success(identifier, 0))
    known = (await scenario.cases.runs.orchestration(identifier)).last_sequence
    random = Random(seed)

    async def finish() -> list[FinishOutcome]:
        await asyncio.sleep(random.random() / 200)
        return await scenario.finish(success(identifier, 1), success(identifier, 2))

    async def close() -> bool:
        await asyncio.sleep(random.random() / 200)
        try:
            await scenario.close(orchestration, run, as_of=known)
        except Conflict:
            return False
        return True

    outcomes, closed = await asyncio.gather(finish(), close())
    expected = FinishOutcome.FENCED if closed else FinishOutcome.DONE
    assert outcomes == [expected] * 2
    await scenario.check(identifier)


@pytest.mark.parametrize("seed", range(15))
async def test_cancelling_races_with_everything_and_is_decided_once(
    scenario: Scenario, seed: int
) -> None:
    orchestration, run, session = await scenario.started(count=2, planned=20)
    identifier = orchestration.orchestration_id
    random = Random(seed)

    async def later(action: Awaitable[object]) -> object:
        await asyncio.sleep(random.random() / 200)
        try:
            return await action
        except (WrongState, Conflict):
            return None

    keys = [TrialKey(orchestration_id=identifier, number=1, attempt=0)]
    await asyncio.gather(
        later(scenario.cases.plans.change(identifier, Change.CANCEL)),
        later(scenario.cases.plans.change(identifier, Change.PAUSE)),
        later(scenario.finish(success(identifier, 0))),
        later(scenario.cases.requeueing.lost(session, keys)),
        later(scenario.finish(failure(identifier, 1, FailureKind.CRASH))),
        later(scenario.queue(run.tuning_run_id, 5, first=2)),
        later(scenario.close(orchestration, run)),
    )
    shown = (
        await scenario.cases.plans.change(identifier, Change.CANCEL)
        if not (await scenario.cases.runs.orchestration(identifier)).state.is_terminal
        else await scenario.cases.runs.orchestration(identifier)
    )
    assert shown.state in (LifecycleState.CANCELLED, LifecycleState.COMPLETED)
    assert shown.counts.queued == shown.counts.running == 0
    await scenario.check(identifier)


async def test_claims_of_the_same_message_give_each_trial_to_one(scenario: Scenario) -> None:
    orchestration = await scenario.start(planned=50)
    (run,) = orchestration.stages[0].tuning_runs
    await scenario.queue(run.tuning_run_id, 50)
    sessions = [await scenario.session(name=f"w{place}") for place in range(8)]
    claims = await asyncio.gather(
        *(scenario.claim(session, run, range(50)) for session in sessions)
    )
    taken = [trial.number for each in claims for trial in each.trials]
    assert sorted(taken) == list(range(50))
    await scenario.check(orchestration.orchestration_id)


async def test_a_session_that_closes_while_it_claims_keeps_nothing(
    scenario: Scenario, cases: UseCases
) -> None:
    orchestration = await scenario.start(planned=40)
    (run,) = orchestration.stages[0].tuning_runs
    await scenario.queue(run.tuning_run_id, 40)
    session = await scenario.session()

    async def claim(number: int) -> None:
        try:
            await scenario.claim(session, run, [number])
        except WrongState:
            return

    await asyncio.gather(
        *(claim(number) for number in range(20)),
        cases.sessions.close(session),
        *(claim(number) for number in range(20, 40)),
    )
    shown = await cases.runs.orchestration(orchestration.orchestration_id)
    assert (shown.counts.running, shown.counts.queued) == (0, 40)
    await scenario.check(orchestration.orchestration_id)

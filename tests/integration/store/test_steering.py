"""Pausing, resuming and cancelling orchestrations, and who searches for them meanwhile."""

from __future__ import annotations

import pytest

from services.core.errors import Conflict, WrongState
from services.core.event import OrchestrationChanged
from services.store.ports.results import FinishOutcome
from services.store.service.plans import Change
from tests.integration.store.scenario import Scenario, success
from tests.integration.store.test_plans import STATE, _states


async def test_a_paused_orchestration_lets_running_trials_end_and_starts_none(
    scenario: Scenario,
) -> None:
    orchestration, run, session = await scenario.started(count=2)
    identifier = orchestration.orchestration_id
    change = scenario.cases.plans.change
    paused = await change(identifier, Change.PAUSE)
    assert _states(paused) == [[STATE.PAUSED, STATE.PAUSED]]
    assert (await change(identifier, Change.PAUSE)).last_sequence == paused.last_sequence
    with pytest.raises(WrongState, match="PAUSED"):
        await scenario.queue(run.tuning_run_id, 1, first=2)
    assert await scenario.finish(success(identifier, 0)) == [FinishOutcome.DONE]
    handed_out = await scenario.cases.hand_outs.hand_out()
    assert handed_out.hand_outs == ()
    resumed = await change(identifier, Change.RESUME)
    assert _states(resumed) == [[STATE.RUNNING, STATE.RUNNING]]
    await scenario.queue(run.tuning_run_id, 1, first=2)
    assert len((await scenario.claim(session, run, [2])).trials) == 1
    await scenario.check(identifier)


async def test_a_claim_on_a_paused_orchestration_waits(scenario: Scenario) -> None:
    orchestration = await scenario.start()
    run = orchestration.stages[0].tuning_runs[0]
    await scenario.queue(run.tuning_run_id, 2)
    session = await scenario.session()
    await scenario.cases.plans.change(orchestration.orchestration_id, Change.PAUSE)
    claimed = await scenario.claim(session, run, [0, 1])
    assert (claimed.trials, claimed.later) == ((), (0, 1))


async def test_what_follows_while_paused_waits_too(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started(stages=(1, 1))
    identifier = orchestration.orchestration_id
    await scenario.finish(success(identifier, 0))
    await scenario.cases.plans.change(identifier, Change.PAUSE)
    closed = await scenario.close(orchestration, run)
    assert _states(closed)[1] == [STATE.PAUSED, STATE.PAUSED]
    resumed = await scenario.cases.plans.change(identifier, Change.RESUME)
    assert _states(resumed)[1] == [STATE.RUNNING, STATE.RUNNING]


async def test_cancelling_ends_everything_and_twice_is_once(scenario: Scenario) -> None:
    orchestration, _, _ = await scenario.started(stages=(1, 1))
    identifier = orchestration.orchestration_id
    change = scenario.cases.plans.change
    cancelled = await change(identifier, Change.CANCEL)
    assert cancelled.state is STATE.CANCELLED
    assert cancelled.counts.cancelled == 3
    assert {state for stage in _states(cancelled) for state in stage} == {STATE.CANCELLED}
    assert (await change(identifier, Change.CANCEL)).last_sequence == cancelled.last_sequence
    for other in (Change.PAUSE, Change.RESUME):
        with pytest.raises(WrongState, match="CANCELLED"):
            await change(identifier, other)
    assert await scenario.finish(success(identifier, 0)) == [FinishOutcome.FENCED]
    *_, (_, last) = await scenario.events(identifier)
    assert isinstance(last, OrchestrationChanged)
    assert last.final
    await scenario.check(identifier)


async def test_a_complete_orchestration_cannot_be_cancelled(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started()
    await scenario.finish(success(orchestration.orchestration_id, 0))
    await scenario.close(orchestration, run)
    with pytest.raises(WrongState, match="COMPLETED and cannot be cancelled"):
        await scenario.cases.plans.change(orchestration.orchestration_id, Change.CANCEL)


async def test_searcher_leases_go_to_one_coordinator_at_a_time(scenario: Scenario) -> None:
    orchestration = await scenario.start(stages=(2, 1))
    first, second = (each.tuning_run_id for each in orchestration.stages[0].tuning_runs)
    acquire, release = scenario.cases.searchers.acquire, scenario.cases.searchers.release
    mine = await acquire("c1", held=[], max_new=1)
    assert [each.tuning_run_id for each in mine] in ([first], [second])
    others = await acquire("c2", held=[], max_new=10)
    assert {each.tuning_run_id for each in (*mine, *others)} == {first, second}
    held = [each.tuning_run_id for each in mine]
    kept = await acquire("c2", held=[first, second], max_new=10)
    assert kept == others
    renewed = await acquire("c1", held=held, max_new=10)
    assert [each.epoch for each in renewed] == [each.epoch for each in mine]
    await release("c1", held)
    (taken,) = await acquire("c3", held=[], max_new=10)
    assert taken.tuning_run_id == held[0]
    assert taken.epoch == mine[0].epoch + 1


async def test_a_lease_that_ran_out_is_taken_with_a_new_epoch(scenario: Scenario) -> None:
    orchestration = await scenario.start()
    (run,) = orchestration.stages[0].tuning_runs
    epoch = await scenario.lease(run.tuning_run_id, "c1")
    async with scenario.database.writing() as connection:
        await connection.execute(
            "UPDATE crescendo.tuning_runs SET searcher_until = now() - interval '1 s'"
        )
    assert await scenario.lease(run.tuning_run_id, "c2") == epoch + 1
    assert await scenario.cases.searchers.acquire("c1", held=[run.tuning_run_id], max_new=0) == []
    with pytest.raises(Conflict):
        await scenario.cases.creation.create(run.tuning_run_id, epoch=epoch, trials=[])


async def test_a_paused_tuning_run_has_no_searcher(scenario: Scenario) -> None:
    orchestration = await scenario.start()
    (run,) = orchestration.stages[0].tuning_runs
    await scenario.lease(run.tuning_run_id, "c1")
    change = scenario.cases.plans.change
    await change(orchestration.orchestration_id, Change.PAUSE)
    acquire = scenario.cases.searchers.acquire
    assert await acquire("c1", held=[run.tuning_run_id], max_new=5) == []
    await change(orchestration.orchestration_id, Change.RESUME)
    # Its own lease that it no longer knows of is its own again at once.
    assert len(await acquire("c1", held=[], max_new=5)) == 1

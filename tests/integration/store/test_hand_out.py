"""Handing out: free slots are filled fairly, and lost messages lose nothing."""

from __future__ import annotations

import asyncio

from services.core.trial import TrialKey
from services.store.ports.results import Batch, HandedOut
from services.store.service.plans import Change
from tests.integration.store.scenario import Scenario, success


def _numbers(handed_out: HandedOut) -> list[list[int]]:
    return [[number for number, _ in each.batch.trials] for each in handed_out.hand_outs]


async def test_until_trials_are_measured_each_slot_gets_one(scenario: Scenario) -> None:
    orchestration = await scenario.start(planned=20)
    run = orchestration.stages[0].tuning_runs[0]
    await scenario.queue(run.tuning_run_id, 20)
    hand_out = scenario.cases.hand_outs.hand_out
    assert (await hand_out()).hand_outs == ()
    await scenario.session(slots=3)
    first = await hand_out()
    # Nothing is measured yet: one trial a message.
    assert _numbers(first) == [[0], [1], [2]]
    (status,) = first.worker_classes
    assert (status.worker_class, status.live_workers, status.slots, status.outstanding) == (
        "default",
        1,
        3,
        3,
    )
    assert (await hand_out()).hand_outs == ()


async def test_a_long_trial_gets_no_other_behind_it(scenario: Scenario) -> None:
    # It would find no slot in time, and come back.
    orchestration, run, _ = await scenario.started(count=2, planned=20)
    await scenario.finish(success(orchestration.orchestration_id, 0, seconds=30.0))
    await scenario.queue(run.tuning_run_id, 10, first=2)
    hand_out = scenario.cases.hand_outs.hand_out
    assert _numbers(await hand_out()) == [[2]]
    assert (await hand_out()).hand_outs == ()


async def test_short_trials_travel_together_long_ones_alone(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started(count=1, planned=100)
    await scenario.finish(success(orchestration.orchestration_id, 0, seconds=0.1))
    await scenario.queue(run.tuning_run_id, 80, first=1)
    batches = _numbers(await scenario.cases.hand_outs.hand_out())
    assert [len(each) for each in batches] == [10, 10, 10, 10]
    assert batches[0] == list(range(1, 11))


async def test_little_work_is_spread_over_the_slots(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started(count=1, planned=100)
    await scenario.finish(success(orchestration.orchestration_id, 0, seconds=0.001))
    await scenario.queue(run.tuning_run_id, 20, first=1)
    batches = _numbers(await scenario.cases.hand_outs.hand_out())
    assert [len(each) for each in batches] == [5, 5, 5, 5]


async def test_two_orchestrations_share_the_workers(scenario: Scenario) -> None:
    runs = []
    for _ in range(2):
        orchestration = await scenario.start(planned=20)
        runs.append(orchestration.stages[0].tuning_runs[0])
        await scenario.queue(runs[-1].tuning_run_id, 20)
    await scenario.session(slots=4)
    handed_out = await scenario.cases.hand_outs.hand_out()
    sent = [each.batch.tuning_run_id for each in handed_out.hand_outs]
    assert sent == [runs[0].tuning_run_id, runs[1].tuning_run_id] * 2


async def test_priority_comes_first(scenario: Scenario) -> None:
    await_runs = []
    for _ in range(2):
        orchestration = await scenario.start(planned=20)
        await_runs.append(orchestration.stages[0].tuning_runs[0])
        await scenario.queue(await_runs[-1].tuning_run_id, 20)
    async with scenario.database.writing() as connection:
        await connection.execute(
            "UPDATE crescendo.orchestrations SET priority = 5 WHERE orchestration_id = $1",
            await_runs[1].orchestration_id,
        )
    await scenario.session(slots=2)
    handed_out = await scenario.cases.hand_outs.hand_out()
    assert {each.batch.tuning_run_id for each in handed_out.hand_outs} == {
        await_runs[1].tuning_run_id
    }


async def test_no_more_is_handed_out_than_may_run(scenario: Scenario) -> None:
    orchestration, run, session = await scenario.started(count=1, planned=100, max_concurrent=4)
    identifier = orchestration.orchestration_id
    await scenario.finish(success(identifier, 0, seconds=0.001))
    await scenario.queue(run.tuning_run_id, 50, first=1)
    hand_out = scenario.cases.hand_outs.hand_out
    batches = _numbers(await hand_out())
    assert sorted(number for each in batches for number in each) == [1, 2, 3, 4]
    await scenario.claim(session, run, [1, 2, 3, 4])
    assert (await hand_out()).hand_outs == ()
    await scenario.finish(success(identifier, 1), success(identifier, 2))
    assert sum(len(each) for each in _numbers(await hand_out())) == 2


async def test_concurrent_hand_outs_give_each_trial_once(scenario: Scenario) -> None:
    orchestration = await scenario.start(planned=100)
    run = orchestration.stages[0].tuning_runs[0]
    await scenario.queue(run.tuning_run_id, 100)
    await scenario.session(slots=10)
    handed_out = await asyncio.gather(*(scenario.cases.hand_outs.hand_out() for _ in range(6)))
    numbers = [number for each in handed_out for batch in _numbers(each) for number in batch]
    assert sorted(numbers) == list(range(10))


async def test_an_unclaimed_trial_is_handed_out_again_after_a_minute(scenario: Scenario) -> None:
    orchestration = await scenario.start()
    run = orchestration.stages[0].tuning_runs[0]
    await scenario.queue(run.tuning_run_id, 1)
    session = await scenario.session()
    hand_out = scenario.cases.hand_outs.hand_out
    assert _numbers(await hand_out()) == [[0]]
    async with scenario.database.writing() as connection:
        await connection.execute(
            "UPDATE crescendo.trials SET dispatched_at = now() - interval '40 s'"
        )
    assert _numbers(await hand_out()) == []
    async with scenario.database.writing() as connection:
        await connection.execute(
            "UPDATE crescendo.trials SET dispatched_at = now() - interval '61 s'"
        )
    assert _numbers(await hand_out()) == [[0]]
    # Both messages arrive: one claim gets the trial.
    first, second = await asyncio.gather(
        scenario.claim(session, run, [0]), scenario.claim(session, run, [0])
    )
    assert len(first.trials) + len(second.trials) == 1


async def test_what_could_not_be_published_is_recalled(scenario: Scenario) -> None:
    orchestration = await scenario.start()
    run = orchestration.stages[0].tuning_runs[0]
    await scenario.queue(run.tuning_run_id, 3)
    session = await scenario.session(slots=3)
    hand_outs = scenario.cases.hand_outs
    handed_out = await hand_outs.hand_out()
    await scenario.claim(session, run, [0])
    batches = [each.batch for each in handed_out.hand_outs]
    # Trial 0 is claimed already: its message did get out after all.
    assert await hand_outs.recall(batches[:2]) == 1
    assert await hand_outs.recall_all(dispatched_for_seconds=60) == 0
    assert await hand_outs.recall_all() == 1
    stale = Batch(
        orchestration_id=orchestration.orchestration_id,
        tuning_run_id=run.tuning_run_id,
        trials=((1, 9),),
    )
    nonsense = Batch(orchestration_id="x", tuning_run_id="y", trials=((1, 0),))
    assert await hand_outs.recall([stale, nonsense]) == 0
    assert sorted(number for each in _numbers(await hand_outs.hand_out()) for number in each) == [
        1,
        2,
    ]


async def test_resuming_hands_out_again_what_was_dispatched(scenario: Scenario) -> None:
    orchestration = await scenario.start()
    run = orchestration.stages[0].tuning_runs[0]
    await scenario.queue(run.tuning_run_id, 2)
    await scenario.session()
    hand_out, change = scenario.cases.hand_outs.hand_out, scenario.cases.plans.change
    assert _numbers(await hand_out()) == [[0], [1]]
    await change(orchestration.orchestration_id, Change.PAUSE)
    await change(orchestration.orchestration_id, Change.RESUME)
    assert _numbers(await hand_out()) == [[0], [1]]


async def test_trials_given_up_are_handed_out_at_once_under_a_new_attempt(
    scenario: Scenario,
) -> None:
    orchestration, run, session = await scenario.started(count=1)
    identifier = orchestration.orchestration_id
    await scenario.queue(run.tuning_run_id, 1, first=1)
    hand_outs, requeueing = scenario.cases.hand_outs, scenario.cases.requeueing
    assert _numbers(await hand_outs.hand_out()) == [[1]]
    keys = [
        TrialKey(orchestration_id=identifier, number=number, attempt=0) for number in (0, 1, 50)
    ]
    assert await requeueing.handed_back(session, keys) == 1
    handed_out = await hand_outs.hand_out()
    # The one that ran has a new attempt; the one that was not claimed is still on its way.
    assert [each.batch.trials for each in handed_out.hand_outs] == [((0, 1),)]
    await scenario.check(identifier)


async def _set(scenario: Scenario, statement: str, *arguments: object) -> None:
    async with scenario.database.writing() as connection:
        await connection.execute(statement, *arguments)


async def test_a_trial_that_must_wait_takes_no_slot_from_one_that_may_start(
    scenario: Scenario,
) -> None:
    runs = []
    for _ in range(2):
        orchestration = await scenario.start(planned=20)
        runs.append(orchestration.stages[0].tuning_runs[0])
        await scenario.queue(runs[-1].tuning_run_id, 4)
    await _set(
        scenario,
        "UPDATE crescendo.trials SET not_before = now() + interval '1 hour'"
        " WHERE tuning_run_id = $1",
        runs[0].tuning_run_id,
    )
    await scenario.session(slots=4)
    hand_out = scenario.cases.hand_outs.hand_out
    sent = [each.batch.tuning_run_id for each in (await hand_out()).hand_outs]
    assert sent == [runs[1].tuning_run_id] * 4
    await _set(scenario, "UPDATE crescendo.trials SET not_before = now() - interval '1 s'")
    await scenario.session(slots=4, name="w2")
    sent = [each.batch.tuning_run_id for each in (await hand_out()).hand_outs]
    assert sent == [runs[0].tuning_run_id] * 4


async def test_an_empty_queue_recalls_only_its_class(scenario: Scenario) -> None:
    runs = []
    for worker_class in ("default", "gpu"):
        orchestration = await scenario.start(planned=20)
        run = orchestration.stages[0].tuning_runs[0]
        runs.append(run)
        await scenario.queue(run.tuning_run_id, 1)
        await _set(
            scenario,
            "UPDATE crescendo.tuning_runs SET worker_class = $2 WHERE tuning_run_id = $1",
            run.tuning_run_id,
            worker_class,
        )
        await scenario.session(name=f"w-{worker_class}", worker_class=worker_class)
    hand_outs = scenario.cases.hand_outs
    handed_out = (await hand_outs.hand_out()).hand_outs
    assert [each.worker_class for each in handed_out] == ["default", "gpu"]
    assert await hand_outs.recall_all(worker_class="gpu") == 1
    (again,) = (await hand_outs.hand_out()).hand_outs
    assert (again.worker_class, again.batch.tuning_run_id) == ("gpu", runs[1].tuning_run_id)
    assert await hand_outs.recall_all(worker_class="none") == 0
    assert await hand_outs.recall_all() == 2


async def test_behind_long_trials_of_the_class_a_message_is_given_more_time(
    scenario: Scenario,
) -> None:
    # Trials of two minutes are under way; what was sent behind them may wait for three of those.
    slow, _, _ = await scenario.started(count=2, planned=20)
    await scenario.finish(success(slow.orchestration_id, 0, seconds=120.0))
    quick = await scenario.start(planned=20)
    await scenario.queue(quick.stages[0].tuning_runs[0].tuning_run_id, 1)
    hand_out = scenario.cases.hand_outs.hand_out
    await scenario.session(slots=1, name="w2")
    assert _numbers(await hand_out()) == [[0]]
    for seconds, again in ((300, []), (361, [[0]])):
        await _set(
            scenario,
            f"UPDATE crescendo.trials SET dispatched_at = now() - interval '{seconds} s'"
            " WHERE orchestration_id = $1",
            quick.orchestration_id,
        )
        assert _numbers(await hand_out()) == again


async def test_a_trial_whose_workers_were_lost_twice_travels_alone(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started(count=1, planned=100)
    await scenario.finish(success(orchestration.orchestration_id, 0, seconds=0.001))
    await scenario.queue(run.tuning_run_id, 8, first=1)
    await _set(
        scenario,
        "UPDATE crescendo.trials SET lost_strikes = 2 WHERE orchestration_id = $1 AND number = 3",
        orchestration.orchestration_id,
    )
    batches = _numbers(await scenario.cases.hand_outs.hand_out())
    assert [3] in batches
    assert sorted(number for each in batches for number in each) == list(range(1, 9))


async def test_a_message_of_another_attempt_recalls_nothing(scenario: Scenario) -> None:
    orchestration = await scenario.start()
    identifier = orchestration.orchestration_id
    (run,) = orchestration.stages[0].tuning_runs
    await scenario.queue(run.tuning_run_id, 1)
    await scenario.session()
    hand_outs = scenario.cases.hand_outs
    (sent,) = (await hand_outs.hand_out()).hand_outs
    assert sent.batch.trials == ((0, 0),)
    for attempt, recalled in ((1, 0), (0, 1)):
        batch = Batch(
            orchestration_id=identifier,
            tuning_run_id=run.tuning_run_id,
            trials=((0, attempt),),
        )
        assert await hand_outs.recall([batch]) == recalled

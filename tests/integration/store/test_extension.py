"""Extending: exactly so much more, for what runs, is paused or has ended."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from services.core.budget import Budget
from services.core.errors import AlreadyExists, Conflict, InvalidRequest, NotFound, WrongState
from services.core.event import Notice, OrchestrationChanged, OrchestrationReopened, StageChanged
from services.store.service.plans import Change, Extension
from tests.integration.store.clock import Clock
from tests.integration.store.extending import RANDOM, STATE, completed, extend, work_off
from tests.integration.store.scenario import Scenario, failure, success


async def test_a_completed_search_runs_exactly_so_many_more(scenario: Scenario) -> None:
    ended, run, _ = await completed(scenario)
    identifier = ended.orchestration_id
    opened = await extend(scenario, identifier, trials=4)
    assert (opened.state, opened.reason, opened.counts.total) == (STATE.RUNNING, "", 7)
    assert opened.timings.ended_at is None
    (again,) = opened.stages[0].tuning_runs
    assert (again.state, again.trial_budget, again.counts.total) == (STATE.RUNNING, 7, 7)
    added = [
        payload
        for sequence, payload in await scenario.events(identifier)
        if sequence > ended.last_sequence
    ]
    assert added[:2] == [
        OrchestrationReopened(total_trials=7),
        OrchestrationChanged(state=STATE.RUNNING),
    ]
    assert [
        (each.tuning_run_id, each.state, each.planned_trials)
        for each in added
        if isinstance(each, StageChanged)
    ] == [("", STATE.RUNNING, 7), (run.tuning_run_id, STATE.RUNNING, 7)]
    made = await scenario.queue(run.tuning_run_id, 9, first=3)
    assert (made.first_number, made.created, made.remaining) == (3, 4, 0)
    session = await scenario.session(slots=9)
    await scenario.claim(session, run, range(3, 7))
    await scenario.finish(*(success(identifier, number) for number in range(3, 7)))
    again_ended = await scenario.close(opened, run)
    assert (again_ended.state, again_ended.counts.succeeded) == (STATE.COMPLETED, 7)
    await scenario.check(identifier)


async def test_a_running_search_is_extended_in_place_and_tells_it(scenario: Scenario) -> None:
    orchestration = await scenario.start(
        stages=(1, 2), methods=("grid_search", "bayesian"), combinations=None, planned=3
    )
    identifier = orchestration.orchestration_id
    extended = await extend(scenario, identifier, trials=2)
    assert extended.state is STATE.RUNNING
    assert extended.counts.total == 9 + 4
    assert [each.counts.total for each in extended.stages[1].tuning_runs] == [5, 5]
    changes = [
        payload
        for sequence, payload in await scenario.events(identifier)
        if sequence > orchestration.last_sequence
    ]
    assert [each.planned_trials for each in changes if isinstance(each, StageChanged)] == [5, 5]
    assert any(isinstance(each, Notice) and each.reason == "EXTENDED" for each in changes)
    await work_off(scenario, identifier)
    await scenario.check(identifier)


async def test_a_paused_search_stays_paused(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started(methods=RANDOM, combinations=None)
    identifier = orchestration.orchestration_id
    await scenario.cases.plans.change(identifier, Change.PAUSE)
    extended = await extend(scenario, identifier, trials=5)
    assert (extended.state, extended.counts.total) == (STATE.PAUSED, 8)
    await scenario.cases.plans.change(identifier, Change.RESUME)
    assert (await scenario.queue(run.tuning_run_id, 9, first=3)).created == 5


async def test_the_same_extension_asked_for_again_adds_nothing(scenario: Scenario) -> None:
    ended, _, _ = await completed(scenario)
    key = replace(scenario.key(), rpc="ExtendOrchestration")
    plans = scenario.cases.plans
    answers = await asyncio.gather(
        *(
            plans.extend(ended.orchestration_id, Extension(trials=4), tenant="default", key=key)
            for _ in range(5)
        )
    )
    assert {each.counts.total for each in answers} == {7}
    other = replace(key, body_hash=b"other")
    with pytest.raises(AlreadyExists, match=key.request_id):
        await plans.extend(ended.orchestration_id, Extension(trials=5), tenant="default", key=other)
    # Another id is another request.
    more = await plans.extend(
        ended.orchestration_id,
        Extension(trials=4),
        tenant="default",
        key=replace(scenario.key(), rpc="ExtendOrchestration"),
    )
    assert more.counts.total == 11
    await scenario.check(ended.orchestration_id)


async def test_many_extensions_at_once_add_up(scenario: Scenario) -> None:
    ended, run, _ = await completed(scenario)
    await asyncio.gather(
        *(extend(scenario, ended.orchestration_id, trials=count) for count in (1, 2, 3, 4))
    )
    now = await scenario.cases.runs.orchestration(ended.orchestration_id)
    assert now.counts.total == 13
    assert (await scenario.queue(run.tuning_run_id, 20, first=3)).created == 10


async def test_the_budgets_trials_grow_with_those_of_the_tuning_runs(scenario: Scenario) -> None:
    orchestration = await scenario.start(
        stages=(2,), methods=RANDOM, combinations=None, planned=2, budget=Budget(max_trials=4)
    )
    identifier = orchestration.orchestration_id
    ended = await work_off(scenario, identifier)
    assert (ended.state, ended.reason) == (STATE.COMPLETED, "COMPLETED")
    opened = await extend(scenario, identifier, trials=3)
    assert opened.budget.max_trials == 10
    ended = await work_off(scenario, identifier)
    assert (ended.state, ended.counts.succeeded) == (STATE.COMPLETED, 10)
    await scenario.check(identifier)


async def test_models_that_take_turns_still_do_after_an_extension(scenario: Scenario) -> None:
    orchestration = await scenario.start(
        stages=(3,), methods=RANDOM, combinations=None, planned=1, max_active=1
    )
    identifier = orchestration.orchestration_id
    await work_off(scenario, identifier)
    opened = await extend(scenario, identifier, trials=1)
    assert [each.state for each in opened.stages[0].tuning_runs] == [
        STATE.RUNNING,
        STATE.PENDING,
        STATE.PENDING,
    ]
    ended = await work_off(scenario, identifier)
    assert (ended.state, ended.counts.succeeded) == (STATE.COMPLETED, 6)
    await scenario.check(identifier)


async def test_a_model_that_is_done_goes_on_while_others_run(scenario: Scenario) -> None:
    orchestration = await scenario.start(stages=(2,), methods=RANDOM, combinations=None, planned=1)
    identifier = orchestration.orchestration_id
    first, _second = orchestration.stages[0].tuning_runs
    await scenario.queue(first.tuning_run_id, 1)
    await scenario.claim(await scenario.session(), first, [0])
    await scenario.finish(success(identifier, 0))
    await scenario.close(orchestration, first)
    extended = await extend(scenario, identifier, trials=2)
    assert [(each.state, each.counts.total) for each in extended.stages[0].tuning_runs] == [
        (STATE.RUNNING, 3),
        (STATE.RUNNING, 3),
    ]
    ended = await work_off(scenario, identifier)
    assert (ended.state, ended.counts.succeeded) == (STATE.COMPLETED, 6)
    await scenario.check(identifier)


async def test_a_space_with_points_left_gives_those(scenario: Scenario) -> None:
    ended, _, _ = await completed(scenario, combinations=5)
    opened = await extend(scenario, ended.orchestration_id, trials=10)
    assert opened.counts.total == 5
    await work_off(scenario, ended.orchestration_id)
    with pytest.raises(WrongState, match="5 of 5 points") as caught:
        await extend(scenario, ended.orchestration_id, trials=1)
    assert caught.value.reason == "SPACE_EXHAUSTED"
    await scenario.check(ended.orchestration_id)


@pytest.mark.parametrize("method", ["grid_search", "cross_validation"])
async def test_what_runs_all_its_points_cannot_be_given_more(
    scenario: Scenario, method: str
) -> None:
    orchestration = await scenario.start(methods=(method,))
    with pytest.raises(WrongState, match=method) as caught:
        await extend(scenario, orchestration.orchestration_id, trials=1)
    assert caught.value.reason == "METHOD_NOT_EXTENSIBLE"


async def test_what_adds_nothing_or_to_nothing_is_refused(scenario: Scenario) -> None:
    with pytest.raises(InvalidRequest, match="above 0"):
        Extension()
    with pytest.raises(InvalidRequest) as caught:
        Extension(trials=-1, failed_trials=2**40, seconds=float("nan"), cost=float("inf"))
    assert len(caught.value.violations) == 4
    orchestration = await scenario.start(methods=RANDOM)
    with pytest.raises(InvalidRequest, match="no max_seconds to add to") as caught:
        await extend(scenario, orchestration.orchestration_id, failed_trials=1, seconds=1, cost=1)
    assert len(caught.value.violations) == 3
    with pytest.raises(NotFound):
        await extend(scenario, "nonsense", trials=1)


async def test_what_was_cancelled_or_failed_for_good_stays_so(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started(count=1, methods=RANDOM, combinations=None)
    identifier = orchestration.orchestration_id
    await scenario.finish(failure(identifier, 0))
    await scenario.close(orchestration, run, STATE.FAILED)
    with pytest.raises(WrongState, match=r"FAILED \(ALL_TRIALS_FAILED\) and cannot be extended"):
        await extend(scenario, identifier, trials=1)
    other = await scenario.start(methods=RANDOM)
    await scenario.cases.plans.change(other.orchestration_id, Change.CANCEL)
    with pytest.raises(WrongState, match="CANCELLED"):
        await extend(scenario, other.orchestration_id, trials=1)


async def test_a_completed_search_with_nothing_more_to_run_is_not_reopened(
    scenario: Scenario,
) -> None:
    ended, _, _ = await completed(scenario, budget=Budget(max_failed_trials=1))
    with pytest.raises(WrongState, match="add additional_trials"):
        await extend(scenario, ended.orchestration_id, failed_trials=5)
    now = await scenario.cases.runs.orchestration(ended.orchestration_id)
    assert (now.state, now.last_sequence) == (STATE.COMPLETED, ended.last_sequence)


async def test_too_many_failures_are_forgiven_by_allowing_more(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started(
        count=3,
        planned=5,
        stages=(1, 1),
        methods=("random_search", "bayesian"),
        combinations=None,
        budget=Budget(max_failed_trials=0),
    )
    identifier = orchestration.orchestration_id
    await scenario.finish(success(identifier, 0), failure(identifier, 1))
    with pytest.raises(WrongState, match="1 trials failed, the limit is 0"):
        await extend(scenario, identifier, trials=1)
    opened = await extend(scenario, identifier, failed_trials=1)
    assert opened.state is STATE.RUNNING
    assert [each.state for each in opened.stages] == [STATE.RUNNING, STATE.PENDING]
    assert opened.counts.total == 10
    # Trial 2 was cancelled: it counts as one of the five.
    assert (await scenario.queue(run.tuning_run_id, 5, first=3)).created == 2
    await scenario.check(identifier)
    ended = await work_off(scenario, identifier)
    assert ended.state is STATE.COMPLETED
    await scenario.check(identifier)


async def test_a_search_goes_on_after_its_deadline_when_given_time(
    clock: Clock, scenario: Scenario
) -> None:
    orchestration, _, _ = await scenario.started(
        count=1,
        planned=4,
        stages=(1, 2),
        methods=RANDOM,
        combinations=None,
        budget=Budget(max_seconds=60),
    )
    identifier = orchestration.orchestration_id
    await clock.advance(60)
    await scenario.cases.keeper.tick()
    ended = await scenario.cases.runs.orchestration(identifier)
    assert (ended.state, ended.reason) == (STATE.FAILED, "DEADLINE_REACHED")
    with pytest.raises(WrongState, match="add additional_seconds"):
        await extend(scenario, identifier, trials=1)
    await clock.advance(1000)
    opened = await extend(scenario, identifier, seconds=30)
    assert (opened.state, opened.budget.max_seconds) == (STATE.RUNNING, 90)
    assert opened.used.active_seconds == pytest.approx(60)
    assert opened.counts.total == 12
    await clock.advance(29)
    await scenario.cases.keeper.tick()
    assert (await scenario.cases.runs.orchestration(identifier)).state is STATE.RUNNING
    await clock.advance(1)
    await scenario.cases.keeper.tick()
    again = await scenario.cases.runs.orchestration(identifier)
    assert again.reason == "DEADLINE_REACHED"
    await extend(scenario, identifier, seconds=1000)
    ended = await work_off(scenario, identifier)
    assert (ended.state, ended.counts.succeeded) == (STATE.COMPLETED, 11)
    await scenario.check(identifier)


@pytest.mark.parametrize(
    ("method", "planned", "advice"),
    [
        ("random_search", 9, "extend it with additional_seconds to go on"),
        ("random_search", 3, "extend it with additional_seconds and additional_trials to go on"),
        ("grid_search", 3, "start a new search to go on"),
    ],
)
async def test_a_search_cut_by_a_limit_says_how_it_really_goes_on(
    clock: Clock, scenario: Scenario, method: str, planned: int, advice: str
) -> None:
    orchestration, _, _ = await scenario.started(
        count=3,
        planned=planned,
        methods=(method,),
        combinations=None,
        budget=Budget(max_seconds=60),
    )
    identifier = orchestration.orchestration_id
    await scenario.finish(success(identifier, 0))
    await clock.advance(61)
    await scenario.cases.keeper.tick()
    ended = await scenario.cases.runs.orchestration(identifier)
    assert (ended.reason, ended.counts.cancelled) == ("DEADLINE_REACHED", 2)
    assert ended.message.endswith(advice)
    more: dict[str, Any] = {"seconds": 60.0}
    if planned == 3:
        with pytest.raises(WrongState, match="but for 2 that were cancelled"):
            await extend(scenario, identifier, **more)
        more["trials"] = 4
    if method == "grid_search":
        with pytest.raises(WrongState, match="start a new search"):
            await extend(scenario, identifier, **more)
        return
    assert (await extend(scenario, identifier, **more)).state is STATE.RUNNING
    ended = await work_off(scenario, identifier)
    assert (ended.state, ended.reason) == (STATE.COMPLETED, "COMPLETED")
    await scenario.check(identifier)


async def test_time_added_while_it_runs_moves_the_deadline(
    clock: Clock, scenario: Scenario
) -> None:
    orchestration = await scenario.start(methods=RANDOM, budget=Budget(max_seconds=60))
    identifier = orchestration.orchestration_id
    await clock.advance(59)
    extended = await extend(scenario, identifier, seconds=60)
    assert extended.used.active_seconds == pytest.approx(59)
    await clock.advance(60)
    await scenario.cases.keeper.tick()
    assert (await scenario.cases.runs.orchestration(identifier)).state is STATE.RUNNING
    await clock.advance(1)
    await scenario.cases.keeper.tick()
    assert (await scenario.cases.runs.orchestration(identifier)).state is STATE.FAILED


async def test_a_search_that_ran_out_of_money_goes_on_with_more(
    clock: Clock, scenario: Scenario
) -> None:
    budget = Budget(max_cost=10, price_per_hour=3600, trial_timeout_seconds=10)
    orchestration, run, _ = await scenario.started(
        count=1, planned=3, methods=RANDOM, combinations=None, budget=budget
    )
    identifier = orchestration.orchestration_id
    await scenario.queue(run.tuning_run_id, 1, first=1)
    await clock.advance(5)
    await scenario.finish(success(identifier, 0, seconds=5))
    await scenario.cases.keeper.tick()
    ended = await scenario.cases.runs.orchestration(identifier)
    assert (ended.state, ended.reason) == (STATE.COMPLETED, "COST_SPENT")
    with pytest.raises(WrongState, match="add additional_cost"):
        await extend(scenario, identifier, cost=4)
    opened = await extend(scenario, identifier, cost=5)
    assert (opened.state, opened.budget.max_cost) == (STATE.RUNNING, 15)
    ended = await work_off(scenario, identifier)
    assert (ended.state, ended.counts.succeeded, ended.counts.cancelled) == (STATE.COMPLETED, 2, 1)
    await scenario.check(identifier)


async def test_a_plan_that_ended_with_its_trials_goes_on_where_it_was(scenario: Scenario) -> None:
    orchestration = await scenario.start(
        planned=5,
        stages=(1, 1),
        methods=("random_search", "bayesian"),
        combinations=None,
        budget=Budget(max_trials=3),
    )
    identifier = orchestration.orchestration_id
    ended = await work_off(scenario, identifier)
    assert (ended.state, ended.reason, ended.counts.succeeded) == (
        STATE.COMPLETED,
        "BUDGET_SPENT",
        3,
    )
    opened = await extend(scenario, identifier, trials=4)
    assert [each.state for each in opened.stages] == [STATE.RUNNING, STATE.PENDING]
    assert (opened.budget.max_trials, opened.counts.total) == (7, 14)
    ended = await work_off(scenario, identifier)
    assert (ended.reason, ended.counts.succeeded) == ("BUDGET_SPENT", 7)
    assert [each.counts.succeeded for each in ended.stages] == [5, 2]
    await scenario.check(identifier)


async def test_a_decision_from_before_does_not_undo_an_extension(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started(methods=RANDOM, combinations=None)
    identifier = orchestration.orchestration_id
    await scenario.finish(*(success(identifier, number) for number in range(3)))
    known = (await scenario.cases.runs.orchestration(identifier)).last_sequence
    await extend(scenario, identifier, trials=2)
    with pytest.raises(Conflict) as caught:
        await scenario.close(orchestration, run, as_of=known)
    assert caught.value.reason == "DECISION_OUTDATED"

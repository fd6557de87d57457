"""Orchestrations: created once, and stages that follow one another."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from services.core.errors import AlreadyExists, Conflict, InvalidRequest, NotFound, WrongState
from services.core.event import (
    Notice,
    OrchestrationChanged,
    RefinementMade,
    StageChanged,
    TrialFinished,
)
from services.core.plan import LifecycleState
from services.core.run import Orchestration
from services.core.trial import TrialState
from services.store.ports.results import FinishOutcome
from services.store.service.plans import Change
from tests.integration.store.scenario import REFINED, SPACE, Scenario, failure, success

STATE = LifecycleState


def _states(orchestration: Orchestration) -> list[list[LifecycleState]]:
    return [
        [stage.state, *(run.state for run in stage.tuning_runs)] for stage in orchestration.stages
    ]


async def test_all_tuning_runs_exist_from_the_start_and_the_first_runs(scenario: Scenario) -> None:
    orchestration = await scenario.start(stages=(1, 1, 1))
    assert orchestration.state is STATE.RUNNING
    assert _states(orchestration) == [
        [STATE.RUNNING, STATE.RUNNING],
        [STATE.PENDING, STATE.PENDING],
        [STATE.PENDING, STATE.PENDING],
    ]
    assert orchestration.counts.total == 9
    assert orchestration.stages[0].tuning_runs[0].space == SPACE
    await scenario.check(orchestration.orchestration_id)


async def test_notices_of_a_plan_stand_in_its_log(scenario: Scenario) -> None:
    orchestration = await scenario.start(
        notices=("FOLDS_ABOVE_SMALLEST_CLASS: a class has 3 rows",)
    )
    notices = [
        payload
        for _, payload in await scenario.events(orchestration.orchestration_id)
        if isinstance(payload, Notice)
    ]
    assert notices == [Notice(reason="FOLDS_ABOVE_SMALLEST_CLASS", message="a class has 3 rows")]


async def test_the_same_request_gives_the_same_orchestration(scenario: Scenario) -> None:
    plan, key = await scenario.plan(), scenario.key()
    plans = scenario.cases.plans
    assert await plans.find_request("default", key) is None
    made = await asyncio.gather(
        *(plans.create(plan, tenant="default", key=key, spec_hash=b"s") for _ in range(5))
    )
    assert len({each.orchestration_id for each in made}) == 1
    found = await plans.find_request("default", key)
    assert found is not None
    assert found.orchestration_id == made[0].orchestration_id


async def test_a_request_id_with_another_body_is_refused(scenario: Scenario) -> None:
    plan, key = await scenario.plan(), scenario.key()
    plans = scenario.cases.plans
    await plans.create(plan, tenant="default", key=key, spec_hash=b"s")
    other = type(key)(rpc=key.rpc, request_id=key.request_id, body_hash=b"other")
    with pytest.raises(AlreadyExists, match=key.request_id):
        await plans.find_request("default", other)
    with pytest.raises(AlreadyExists):
        await plans.create(plan, tenant="default", key=other, spec_hash=b"s")


async def test_a_study_starts_once_and_keeps_its_specification(scenario: Scenario) -> None:
    plan = await scenario.plan(study_name="my study")
    plans = scenario.cases.plans
    first, second = await asyncio.gather(
        plans.create(plan, tenant="default", key=None, spec_hash=b"one"),
        plans.create(plan, tenant="default", key=scenario.key(), spec_hash=b"one"),
    )
    assert first.orchestration_id == second.orchestration_id
    with pytest.raises(AlreadyExists, match="my study"):
        await plans.create(plan, tenant="default", key=None, spec_hash=b"two")


async def test_a_request_that_found_its_study_finds_it_again(scenario: Scenario) -> None:
    plan, key = await scenario.plan(study_name="named"), scenario.key()
    plans = scenario.cases.plans
    first = await plans.create(plan, tenant="default", key=None, spec_hash=b"one")
    await plans.create(plan, tenant="default", key=key, spec_hash=b"one")
    found = await plans.find_request("default", key)
    assert found is not None
    assert found.orchestration_id == first.orchestration_id


async def test_a_plan_on_an_unknown_model_run_creates_nothing(scenario: Scenario) -> None:
    plan = await scenario.plan()
    missing = str(uuid.uuid4())
    broken = type(plan)(
        workflow=plan.workflow,
        study_name="",
        stages=(
            type(plan.stages[0])(method="grid_search", tuning_runs=(scenario.run_plan(missing),)),
        ),
        scoring_metric="accuracy",
        cv_folds=2,
        random_state=1,
        max_concurrent_trials=0,
    )
    with pytest.raises(NotFound, match=missing):
        await scenario.start(broken)
    found, _ = await scenario.cases.runs.orchestrations(
        "default", states=(), study_name="", page_size=None, page_token=""
    )
    assert found == []


async def test_a_plan_without_stages_is_refused(scenario: Scenario) -> None:
    plan = await scenario.plan()
    empty = type(plan)(
        workflow="tuning",
        study_name="",
        stages=(),
        scoring_metric="accuracy",
        cv_folds=2,
        random_state=1,
        max_concurrent_trials=-1,
        worker_class="gpu a100",
    )
    with pytest.raises(InvalidRequest) as caught:
        await scenario.start(empty)
    assert {each.field for each in caught.value.violations} == {
        "stages",
        "max_concurrent_trials",
        "worker_class",
    }


async def test_the_next_stage_starts_on_the_refined_space(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started(stages=(1, 1))
    identifier = orchestration.orchestration_id
    await scenario.finish(*(success(identifier, number) for number in range(3)))
    closed = await scenario.close(orchestration, run, refinement=scenario.refinement())
    assert _states(closed) == [[STATE.COMPLETED, STATE.COMPLETED], [STATE.RUNNING, STATE.RUNNING]]
    second = closed.stages[1].tuning_runs[0]
    assert (second.space, second.original_space) == (REFINED, SPACE)
    assert (second.counts.total, closed.counts.total) == (5, 8)
    assert second.total_combinations is None
    (stored,) = await scenario.cases.runs.refinements(identifier)
    assert stored.refinement_id == 1
    assert stored.source_tuning_run_id == run.tuning_run_id
    assert stored.target_tuning_run_id == second.tuning_run_id
    payloads = [payload for _, payload in await scenario.events(identifier)]
    made = next(each for each in payloads if isinstance(each, RefinementMade))
    assert made.refinement == stored
    planned = [each for each in payloads if isinstance(each, StageChanged) and each.stage_index]
    assert [each.planned_trials for each in planned] == [5, 5]
    await scenario.check(identifier)


async def test_after_the_last_stage_the_orchestration_is_complete(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started()
    identifier = orchestration.orchestration_id
    await scenario.finish(*(success(identifier, number) for number in range(3)))
    closed = await scenario.close(orchestration, run)
    assert (closed.state, closed.percentage) == (STATE.COMPLETED, 100.0)
    *_, (_, last) = await scenario.events(identifier)
    assert last == OrchestrationChanged(state=STATE.COMPLETED, reason="COMPLETED", final=True)


async def test_a_failed_stage_fails_the_search_and_says_why(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started(stages=(1, 1))
    identifier = orchestration.orchestration_id
    await scenario.finish(
        failure(identifier, 0, message="ValueError: rare"),
        failure(identifier, 1, message="ValueError: common"),
        failure(identifier, 2, message="ValueError: common"),
    )
    closed = await scenario.close(orchestration, run, STATE.FAILED)
    assert closed.state is STATE.FAILED
    assert closed.reason == "ALL_TRIALS_FAILED"
    assert "ValueError: common" in closed.message
    assert closed.stages[0].message == "ValueError: common"
    # People count stages from 1.
    assert closed.message == "stage 1 (grid_search) failed: ValueError: common"
    assert _states(closed) == [[STATE.FAILED, STATE.FAILED], [STATE.CANCELLED, STATE.CANCELLED]]
    await scenario.check(identifier)


async def test_a_long_failure_is_told_in_short(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started(count=1)
    identifier = orchestration.orchestration_id
    await scenario.finish(failure(identifier, 0, message="ValueError: " + "x" * 4_000))
    closed = await scenario.close(orchestration, run, STATE.FAILED)
    told = [closed.message, closed.stages[0].message, closed.stages[0].tuning_runs[0].message]
    assert all("ValueError: xxx" in each and len(each) < 400 for each in told)
    await scenario.check(identifier)


async def test_a_comparison_completes_when_one_model_succeeds(scenario: Scenario) -> None:
    orchestration = await scenario.start(stages=(2,), planned=1)
    identifier = orchestration.orchestration_id
    first, second = orchestration.stages[0].tuning_runs
    session = await scenario.session()
    for run in (first, second):
        made = await scenario.queue(run.tuning_run_id, 1)
        await scenario.claim(session, run, [made.first_number])
    await scenario.finish(success(identifier, 0), failure(identifier, 1))
    halfway = await scenario.close(orchestration, second, STATE.FAILED)
    assert halfway.state is STATE.RUNNING
    closed = await scenario.close(orchestration, first)
    assert closed.state is STATE.COMPLETED
    assert closed.stages[0].state is STATE.COMPLETED
    await scenario.check(identifier)


async def test_one_after_another_starts_the_next_when_one_ends(scenario: Scenario) -> None:
    orchestration = await scenario.start(stages=(3,), max_active=1, planned=1)
    assert _states(orchestration) == [[STATE.RUNNING, STATE.RUNNING, STATE.PENDING, STATE.PENDING]]
    run = orchestration.stages[0].tuning_runs[0]
    await scenario.queue(run.tuning_run_id, 1)
    await scenario.claim(await scenario.session(), run, [0])
    await scenario.finish(success(orchestration.orchestration_id, 0))
    closed = await scenario.close(orchestration, run)
    assert _states(closed) == [[STATE.RUNNING, STATE.COMPLETED, STATE.RUNNING, STATE.PENDING]]


async def test_closing_with_an_outdated_decision_changes_nothing(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started()
    identifier = orchestration.orchestration_id
    before = await scenario.cases.runs.orchestration(identifier)
    await scenario.finish(success(identifier, 0))
    with pytest.raises(Conflict, match="ended at event"):
        await scenario.close(orchestration, run, as_of=before.last_sequence)
    now = await scenario.cases.runs.orchestration(identifier)
    assert now.stages[0].tuning_runs[0].state is STATE.RUNNING


async def test_closing_under_an_old_epoch_is_refused(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started()
    await scenario.finish(success(orchestration.orchestration_id, 0))
    epoch = await scenario.lease(run.tuning_run_id)
    with pytest.raises(Conflict, match="epoch"):
        await scenario.close(orchestration, run, epoch=epoch - 1)
    closed = await scenario.close(orchestration, run, epoch=epoch)
    assert closed.state is STATE.COMPLETED


async def test_closing_cancels_what_is_open_and_fences_its_results(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started()
    identifier = orchestration.orchestration_id
    await scenario.finish(success(identifier, 1))
    await scenario.close(orchestration, run)
    assert await scenario.finish(success(identifier, 0)) == [FinishOutcome.FENCED]
    cancelled = [
        payload.number
        for _, payload in await scenario.events(identifier)
        if isinstance(payload, TrialFinished) and payload.state is TrialState.CANCELLED
    ]
    assert cancelled == [0, 2]
    await scenario.check(identifier)


async def test_closing_twice_names_the_state(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started(stages=(1, 1))
    await scenario.finish(success(orchestration.orchestration_id, 0))
    await scenario.close(orchestration, run)
    with pytest.raises(WrongState, match="COMPLETED"):
        await scenario.close(orchestration, run)


async def test_nothing_completes_without_a_success(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started()
    with pytest.raises(WrongState, match="no successful trial"):
        await scenario.close(orchestration, run)
    with pytest.raises(InvalidRequest, match="COMPLETED or FAILED"):
        await scenario.close(orchestration, run, STATE.PAUSED)


async def test_a_refinement_of_the_last_stage_has_no_target(scenario: Scenario) -> None:
    orchestration, run, _ = await scenario.started()
    await scenario.finish(success(orchestration.orchestration_id, 0))
    with pytest.raises(InvalidRequest, match="target_tuning_run_id"):
        await scenario.close(orchestration, run, refinement=scenario.refinement())


async def test_a_fall_back_is_told_and_recorded(scenario: Scenario) -> None:
    orchestration = await scenario.start()
    run = orchestration.stages[0].tuning_runs[0]
    epoch = await scenario.lease(run.tuning_run_id)
    add = scenario.cases.plans.add_notice
    with pytest.raises(Conflict):
        await add(run.tuning_run_id, epoch=epoch + 1, reason="X", message="", method_used="")
    await add(
        run.tuning_run_id,
        epoch=epoch,
        reason="METHOD_FELL_BACK",
        message="nothing to model",
        method_used="random_search",
    )
    shown = await scenario.cases.runs.tuning_run(run.tuning_run_id)
    assert (shown.method, shown.method_used) == ("grid_search", "random_search")
    *_, (_, last) = await scenario.events(orchestration.orchestration_id)
    assert last == Notice(
        reason="METHOD_FELL_BACK",
        message="nothing to model",
        tuning_run_id=run.tuning_run_id,
    )


@pytest.mark.parametrize("identifier", ["", "nonsense", "3f2b8c9e-1d4a-4c6b-9a77-0e5d2f1b6c88"])
async def test_ids_that_name_nothing_are_not_found(scenario: Scenario, identifier: str) -> None:
    with pytest.raises(NotFound, match="orchestration"):
        await scenario.cases.plans.change(identifier, Change.PAUSE)
    with pytest.raises(NotFound, match="tuning run"):
        await scenario.cases.creation.create(identifier, epoch=1, trials=[])
    with pytest.raises(NotFound, match="orchestration"):
        await scenario.cases.runs.orchestration(identifier)

"""Reasons of closing: what only the store knows is no coordinator's to say, and an extension trusts none."""

from __future__ import annotations

from typing import Any

import pytest

from services.core.errors import InvalidRequest, WrongState
from services.core.plan import LifecycleState
from services.core.run import Orchestration
from services.store.service.plans import Closing
from tests.integration.store.extending import RANDOM, STATE, extend, work_off
from tests.integration.store.scenario import Scenario, success


async def _close(
    scenario: Scenario,
    run: Any,
    reason: str,
    *,
    state: LifecycleState = STATE.COMPLETED,
    epoch: int | None = None,
) -> Orchestration:
    now = await scenario.cases.runs.orchestration(run.orchestration_id)
    return await scenario.cases.plans.close_tuning_run(
        Closing(
            tuning_run_id=run.tuning_run_id,
            epoch=epoch,
            as_of_sequence=now.last_sequence,
            state=state,
            reason=reason,
            message="",
            refinement=None,
            next_planned_trials=0,
            next_total_combinations=None,
        )
    )


@pytest.mark.parametrize(
    "reason",
    [
        "TOO_MANY_FAILURES",
        "DEADLINE_REACHED",
        "COST_SPENT",
        "PLATEAU",
        "TARGET_REACHED",
        "CANCELLED",
    ],
)
async def test_a_reason_that_only_the_store_gives_is_refused_from_a_coordinator(
    scenario: Scenario, reason: str
) -> None:
    orchestration, run, _ = await scenario.started(methods=RANDOM, combinations=None)
    identifier = orchestration.orchestration_id
    await scenario.finish(*(success(identifier, number) for number in range(3)))
    epoch = await scenario.lease(run.tuning_run_id)
    before = await scenario.cases.runs.orchestration(identifier)
    for sender in (epoch, None):
        with pytest.raises(InvalidRequest) as caught:
            await _close(scenario, run, reason, epoch=sender)
        (violation,) = caught.value.violations
        assert violation.field == "reason"
        assert reason in violation.description
        assert "SPACE_EXHAUSTED" in violation.description
    after = await scenario.cases.runs.orchestration(identifier)
    assert (after.state, after.last_sequence) == (STATE.RUNNING, before.last_sequence)


async def test_a_wrong_state_and_a_wrong_reason_are_told_in_one_answer(scenario: Scenario) -> None:
    _, run, _ = await scenario.started()
    with pytest.raises(InvalidRequest) as caught:
        await _close(scenario, run, "PLATEAU", state=STATE.CANCELLED)
    assert [each.field for each in caught.value.violations] == ["state", "reason"]


@pytest.mark.parametrize("reason", ["SPACE_EXHAUSTED", "MANUAL"])
async def test_what_a_coordinator_sees_itself_is_taken_from_it(
    scenario: Scenario, reason: str
) -> None:
    orchestration, run, _ = await scenario.started(planned=5, methods=RANDOM, combinations=None)
    await scenario.finish(success(orchestration.orchestration_id, 0))
    ended = await _close(scenario, run, reason)
    (closed,) = ended.stages[0].tuning_runs
    assert (closed.state, closed.reason) == (STATE.COMPLETED, reason)


async def test_a_tuning_run_that_may_have_more_trials_is_not_taken_for_spent(
    scenario: Scenario,
) -> None:
    orchestration, run, _ = await scenario.started(planned=5, methods=RANDOM, combinations=None)
    identifier = orchestration.orchestration_id
    await scenario.finish(*(success(identifier, number) for number in range(3)))
    with pytest.raises(WrongState, match="3 of 5 planned trials") as caught:
        await _close(scenario, run, "BUDGET_SPENT")
    assert caught.value.reason == "BUDGET_LEFT"
    ended = await work_off(scenario, identifier)
    assert (ended.state, ended.counts.succeeded) == (STATE.COMPLETED, 5)


async def test_an_extension_lets_no_stage_run_again_that_another_rests_on(
    scenario: Scenario,
) -> None:
    orchestration, run, _ = await scenario.started(
        planned=5, stages=(1, 1), methods=("random_search", "bayesian"), combinations=None
    )
    identifier = orchestration.orchestration_id
    await scenario.finish(*(success(identifier, number) for number in range(3)))
    going_on = await _close(scenario, run, "SPACE_EXHAUSTED")
    assert [each.state for each in going_on.stages] == [STATE.COMPLETED, STATE.RUNNING]
    async with scenario.database.writing() as connection:
        # As an earlier release took it from whoever said so.
        await connection.execute(
            "UPDATE crescendo.tuning_runs SET reason = 'DEADLINE_REACHED' WHERE tuning_run_id = $1",
            run.tuning_run_id,
        )
    extended = await extend(scenario, identifier, trials=2)
    assert [each.state for each in extended.stages] == [STATE.COMPLETED, STATE.RUNNING]
    first, second = (each.tuning_runs[0] for each in extended.stages)
    assert (first.state, first.counts.total) == (STATE.COMPLETED, 3)
    assert (second.state, second.counts.total) == (STATE.RUNNING, 7)
    ended = await work_off(scenario, identifier)
    assert (ended.state, ended.counts.succeeded) == (STATE.COMPLETED, 10)
    await scenario.check(identifier)

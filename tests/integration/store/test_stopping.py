"""Stopping rules: the trial that fulfils one ends its tuning run or the search, in one transaction."""

from __future__ import annotations

from dataclasses import replace

from services.core.event import Notice, OrchestrationChanged
from services.core.plan import LifecycleState, Plan
from services.core.stopping import StoppingRules
from services.store.ports.results import FinishOutcome
from services.store.service.plans import Extension
from tests.integration.store.scenario import TENANT, Scenario, failure, success

STATE = LifecycleState
DONE, FENCED = FinishOutcome.DONE, FinishOutcome.FENCED


def with_stage_rules(plan: Plan, rules: StoppingRules) -> Plan:
    return replace(
        plan,
        stages=tuple(
            replace(
                stage,
                tuning_runs=tuple(replace(run, stopping=rules) for run in stage.tuning_runs),
            )
            for stage in plan.stages
        ),
    )


async def test_a_plateau_ends_the_search_with_the_trial_that_fulfils_it(scenario: Scenario) -> None:
    plan = await scenario.plan(
        stages=(1, 1), planned=9, combinations=None, methods=("random_search", "bayesian")
    )
    plan = replace(plan, stopping=StoppingRules(plateau_trials=2, min_improvement=0.01))
    orchestration, _, _ = await scenario.started(count=6, plan=plan)
    identifier = orchestration.orchestration_id
    assert orchestration.stopping == plan.stopping

    scores = (0.5, 0.7, 0.705, 0.6, 0.9)
    outcomes = await scenario.finish(
        *(success(identifier, number, score) for number, score in enumerate(scores))
    )
    # The fourth trial fulfils the rule: what comes after it in the same batch does not count.
    assert outcomes == [DONE, DONE, DONE, DONE, FENCED]
    now = await scenario.cases.runs.orchestration(identifier)
    assert (now.state, now.reason) == (STATE.COMPLETED, "PLATEAU")
    assert now.message == (
        "none of the last 2 trials improved the score by more than 0.01: trial 2 has 0.705;"
        " extend it with additional_trials to go on"
    )
    assert (now.counts.succeeded, now.counts.cancelled) == (4, 2)
    assert now.best is not None
    assert now.best.score == 0.705
    assert [(each.state, each.reason) for each in now.stages] == [
        (STATE.COMPLETED, "PLATEAU"),
        (STATE.CANCELLED, "PLATEAU"),
    ]
    assert isinstance((await scenario.events(identifier))[-1][1], OrchestrationChanged)
    await scenario.check(identifier)


async def test_a_target_ends_the_search_and_failures_say_nothing_of_scores(
    scenario: Scenario,
) -> None:
    plan = replace(
        await scenario.plan(planned=9, combinations=None, methods=("random_search",)),
        stopping=StoppingRules(plateau_trials=2, target_score=0.8),
    )
    orchestration, _, _ = await scenario.started(count=6, plan=plan)
    identifier = orchestration.orchestration_id
    await scenario.finish(
        success(identifier, 0, 0.5),
        failure(identifier, 1),
        failure(identifier, 2),
        success(identifier, 3, 0.4),
    )
    now = await scenario.cases.runs.orchestration(identifier)
    assert now.state is STATE.RUNNING
    await scenario.finish(success(identifier, 4, 0.8))
    now = await scenario.cases.runs.orchestration(identifier)
    assert (now.state, now.reason) == (STATE.COMPLETED, "TARGET_REACHED")
    assert now.message.startswith("the target of 0.8 is reached: trial 4 has 0.8")
    assert now.counts.cancelled == 1
    await scenario.check(identifier)


async def test_a_stage_that_stops_gets_no_more_trials_and_is_closed_for_its_rule(
    scenario: Scenario,
) -> None:
    plan = with_stage_rules(
        await scenario.plan(
            stages=(1, 1), planned=9, combinations=None, methods=("random_search", "bayesian")
        ),
        StoppingRules(target_score=0.8),
    )
    orchestration, run, _ = await scenario.started(count=4, plan=plan)
    identifier = orchestration.orchestration_id
    outcomes = await scenario.finish(
        success(identifier, 0, 0.5), success(identifier, 1, 0.9), success(identifier, 2, 0.99)
    )
    assert outcomes == [DONE, DONE, FENCED]
    now = await scenario.cases.runs.orchestration(identifier)
    (stopped,) = now.stages[0].tuning_runs
    assert now.state is stopped.state is STATE.RUNNING
    assert (stopped.reason, stopped.counts.total) == ("TARGET_REACHED", 4)
    assert (stopped.counts.succeeded, stopped.counts.cancelled) == (2, 2)
    assert (await scenario.queue(run.tuning_run_id, 2, first=4)).created == 0
    notices = [each for _, each in await scenario.events(identifier) if isinstance(each, Notice)]
    assert [each.reason for each in notices] == ["TARGET_REACHED"]

    closed = await scenario.close(orchestration, run, refinement=scenario.refinement())
    (ended,) = closed.stages[0].tuning_runs
    assert (ended.state, ended.reason) == (STATE.COMPLETED, "TARGET_REACHED")
    assert ended.message == "the target of 0.8 is reached: trial 1 has 0.9"
    assert closed.stages[0].reason == "TARGET_REACHED"
    assert closed.stages[1].state is STATE.RUNNING
    await scenario.check(identifier)


async def test_one_model_that_stops_leaves_the_others_to_go_on(scenario: Scenario) -> None:
    plan = with_stage_rules(
        await scenario.plan(stages=(2,), planned=9, combinations=None, methods=("random_search",)),
        StoppingRules(plateau_trials=1),
    )
    orchestration = await scenario.start(plan)
    identifier = orchestration.orchestration_id
    first, second = orchestration.stages[0].tuning_runs
    await scenario.queue(first.tuning_run_id, 3)
    await scenario.queue(second.tuning_run_id, 3)
    session = await scenario.session(slots=6)
    await scenario.claim(session, first, range(3))
    await scenario.claim(session, second, range(3, 6))
    await scenario.finish(success(identifier, 0, 0.6), success(identifier, 3, 0.5))
    await scenario.finish(success(identifier, 1, 0.6), success(identifier, 4, 0.6))
    now = await scenario.cases.runs.orchestration(identifier)
    reasons = [each.reason for each in now.stages[0].tuning_runs]
    assert reasons == ["PLATEAU", ""]
    assert now.counts.running == 1
    await scenario.check(identifier)


async def test_a_search_extended_after_its_plateau_counts_anew(scenario: Scenario) -> None:
    plan = replace(
        await scenario.plan(planned=20, combinations=None, methods=("random_search",)),
        stopping=StoppingRules(plateau_trials=2, target_score=0.9),
    )
    orchestration, run, session = await scenario.started(count=4, plan=plan)
    identifier = orchestration.orchestration_id
    await scenario.finish(*(success(identifier, number, 0.5) for number in range(3)))
    assert (await scenario.cases.runs.orchestration(identifier)).reason == "PLATEAU"

    extended = await scenario.cases.plans.extend(
        identifier, Extension(trials=5), tenant=TENANT, key=None
    )
    # The plan goes on where it was, and has five more.
    assert (extended.state, extended.counts.total) == (STATE.RUNNING, 25)
    await scenario.queue(run.tuning_run_id, 6, first=4)
    await scenario.claim(session, run, range(4, 8))
    await scenario.finish(success(identifier, 4, 0.5))
    assert (await scenario.cases.runs.orchestration(identifier)).state is STATE.RUNNING
    await scenario.finish(success(identifier, 5, 0.95))
    now = await scenario.cases.runs.orchestration(identifier)
    assert now.reason == "TARGET_REACHED"

    await scenario.cases.plans.extend(identifier, Extension(trials=1), tenant=TENANT, key=None)
    await scenario.queue(run.tuning_run_id, 2, first=10)
    await scenario.claim(session, run, [10, 11])
    await scenario.finish(success(identifier, 10, 0.97))
    # It was extended though the target was reached: a trial above it ends nothing any more.
    assert (await scenario.cases.runs.orchestration(identifier)).state is STATE.RUNNING
    await scenario.check(identifier)


async def test_a_stage_extended_after_its_rule_runs_exactly_what_was_added(
    scenario: Scenario,
) -> None:
    plan = with_stage_rules(
        await scenario.plan(planned=20, combinations=None, methods=("random_search",)),
        StoppingRules(plateau_trials=1),
    )
    orchestration, run, session = await scenario.started(count=3, plan=plan)
    identifier = orchestration.orchestration_id
    await scenario.finish(success(identifier, 0, 0.5), success(identifier, 1, 0.5))
    closed = await scenario.close(orchestration, run)
    assert (closed.state, closed.stages[0].reason) == (STATE.COMPLETED, "PLATEAU")
    extended = await scenario.cases.plans.extend(
        identifier, Extension(trials=2), tenant=TENANT, key=None
    )
    (again,) = extended.stages[0].tuning_runs
    assert (again.state, again.reason, again.message) == (STATE.RUNNING, "", "")
    assert again.counts.total == 5
    assert (await scenario.queue(run.tuning_run_id, 9, first=3)).created == 2
    await scenario.claim(session, run, [3, 4])
    await scenario.finish(success(identifier, 3, 0.6), success(identifier, 4, 0.7))
    closed = await scenario.close(orchestration, run)
    assert (closed.state, closed.stages[0].reason) == (STATE.COMPLETED, "BUDGET_SPENT")
    await scenario.check(identifier)

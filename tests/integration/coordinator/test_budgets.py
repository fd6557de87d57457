"""Budgets that end searches in the middle of a plan, and what an extension makes of them."""

from __future__ import annotations

import pytest

from tests.integration.coordinator.conftest import Bench, State, svm_score

GRID = {"C": [0.1, 1, 10, 100], "gamma": [0.001, 0.01, 0.1]}
COMPLETED = State.LIFECYCLE_STATE_COMPLETED


@pytest.mark.parametrize(
    ("limit", "by_stage"), [(5, [5, 0, 0]), (12, [12, 0, 0]), (15, [12, 3, 0])]
)
async def test_a_budget_of_trials_ends_a_plan_in_any_stage(
    bench: Bench, limit: int, by_stage: list[int]
) -> None:
    await bench.worker(svm_score)
    coordinator = await bench.coordinator()
    started = await coordinator.progressive(
        model_run_id=await bench.model_run(),
        initial_param_grid=GRID,
        n_iter_random=6,
        n_iter_bayesian=4,
        budget={"max_trials": limit},
    )
    ended = await bench.ended(started.orchestration_id)
    assert (ended.state, ended.reason) == (COMPLETED, "BUDGET_SPENT"), ended
    assert [stage.counts.succeeded for stage in ended.stages] == by_stage

    # Four more of the last stage make room for four more in all: the plan goes on where it was.
    await coordinator.extend(started.orchestration_id, additional_trials=4)
    ended = await bench.ended(started.orchestration_id)
    assert (ended.state, ended.reason) == (COMPLETED, "BUDGET_SPENT"), ended
    assert ended.counts.succeeded == ended.counts.completed == limit + 4
    trials = await bench.trials(started.orchestration_id)
    assert [trial.number for trial in trials] == [*range(limit + 4)]


async def test_models_one_after_another_share_a_budget(bench: Bench) -> None:
    await bench.worker(svm_score)
    coordinator = await bench.coordinator()
    models = [
        await bench.model_run("svm_classifier"),
        await bench.model_run("logistic_regression"),
        await bench.model_run("k_neighbors_classifier"),
    ]
    started = await coordinator.comparison(
        model_run_ids=models,
        tuning_method="random_search",
        param_grids={
            models[0]: {"C": [*range(1, 30)]},
            models[1]: {"C": [*range(1, 30)]},
            models[2]: {"n_neighbors": [*range(1, 30)]},
        },
        n_iter=6,
        parallel=False,
        budget={"max_trials": 9},
    )
    ended = await bench.ended(started.orchestration_id)
    assert (ended.state, ended.reason, ended.counts.succeeded) == (COMPLETED, "BUDGET_SPENT", 9)
    (stage,) = ended.stages
    assert [run.counts.succeeded for run in stage.tuning_runs] == [6, 3, 0]


async def test_an_extension_of_a_paused_search_is_run_once_it_is_resumed(bench: Bench) -> None:
    worker = await bench.worker(svm_score, held=True)
    coordinator = await bench.coordinator()
    started = await coordinator.tuning(
        model_run_id=await bench.model_run(),
        tuning_method="random_search",
        param_grid={"C": [*range(1, 60)]},
        n_iter=6,
    )
    identifier = started.orchestration_id
    worker.allow(2)
    await bench.until(identifier, lambda now: now.counts.succeeded == 2)
    await coordinator.steer("PauseOrchestration", identifier)
    extended = await coordinator.extend(identifier, additional_trials=3)
    assert (extended.state, extended.counts.total) == (State.LIFECYCLE_STATE_PAUSED, 9)
    worker.let_go()
    await bench.until(identifier, lambda now: now.counts.running == 0)
    await coordinator.steer("ResumeOrchestration", identifier)
    ended = await bench.ended(identifier)
    assert (ended.state, ended.counts.succeeded) == (COMPLETED, 9)

"""Plans of stages over the wire: parts of the space in turn, the rest held, and the presets they make."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from services.common.convert.spaces import space_from_proto
from services.common.convert.values import assignment_from_proto
from services.common.rpc.status import from_rpc_error
from services.core.errors import InvalidRequest
from services.core.space import Fixed, FloatRange, IntRange
from tests.integration.coordinator.conftest import Bench, State, svm_score

GRID = {"C": [1, 10, 100], "gamma": [0.01, 0.1]}
COMPLETED = State.LIFECYCLE_STATE_COMPLETED


async def points(bench: Bench, orchestration_id: str) -> list[tuple[int, Any]]:
    return [
        (trial.stage_index, dict(assignment_from_proto(trial.parameters)))
        for trial in await bench.trials(orchestration_id)
    ]


async def test_a_stage_that_searches_some_parameters_holds_the_others_at_their_best(
    bench: Bench,
) -> None:
    await bench.worker(svm_score)
    coordinator = await bench.coordinator()
    model = await bench.model_run()
    started = await coordinator.plan(
        model_run_ids=[model],
        param_grids={model: GRID},
        stages=[
            {"method": "grid_search"},
            {"method": "random_search", "n_iter": 6, "parameters": ["C"], "explore": 0.5},
            {"method": "grid_search", "parameters": ["gamma"]},
            {"method": "local", "n_iter": 3, "radius": 0.05},
            {"method": "bayesian", "n_iter": 4, "refinement": "adaptive"},
        ],
    )
    assert [stage.counts.total for stage in started.stages] == [6, 6, 2, 3, 4]
    ended = await bench.ended(started.orchestration_id)
    assert (ended.workflow, ended.state, ended.reason) == ("plan", COMPLETED, "COMPLETED"), ended
    assert [stage.counts.succeeded for stage in ended.stages] == [6, 6, 2, 3, 4]

    found = await points(bench, started.orchestration_id)
    # Of the grid 10 and 0.1 are the best: |10 - 20| / 1000 beside |0.1 - 0.05| / 10.
    best_of_grid = max((point for stage, point in found if stage == 0), key=svm_score)
    assert {point["gamma"] for stage, point in found if stage == 1} == {best_of_grid["gamma"]}
    best = max((point for stage, point in found if stage <= 1), key=svm_score)
    assert {point["C"] for stage, point in found if stage == 2} == {best["C"]}
    assert {len(point) for _, point in found} == {2}

    best = max((point for stage, point in found if stage <= 2), key=svm_score)
    near = [point for stage, point in found if stage == 3]
    # 0.05 of 1 to 100, and of 0.01 to 0.1.
    assert all(abs(point["C"] - best["C"]) <= 5 for point in near)
    assert all(abs(point["gamma"] - best["gamma"]) <= 0.0046 for point in near)

    first, second, local, third = await bench.refinements(started.orchestration_id)
    assert (local.rule, local.refinement_factor) == ("near", 0.05)
    assert (ended.stages[3].refinement, ended.stages[4].refinement) == ("near", "adaptive")
    assert [each.rule for each in first.parameters] == ["unchanged", "held"]
    assert {each.name: each.rule for each in second.parameters} == {
        "C": "held",
        "gamma": "unchanged",
    }
    assert "gamma is held at" in first.parameters[1].explanation
    (run,) = ended.stages[1].tuning_runs
    held = {each.name: each.domain for each in space_from_proto(run.space).parameters}
    assert held["gamma"] == Fixed(value=best_of_grid["gamma"])

    # What was held is searched again, around the best.
    searched = {each.name: each.domain for each in space_from_proto(third.space_after).parameters}
    assert isinstance(searched["C"], FloatRange | IntRange)
    gamma = searched["gamma"]
    assert isinstance(gamma, FloatRange)
    best = max((point for stage, point in found if stage <= 3), key=svm_score)
    assert 0.01 <= gamma.low < gamma.high <= 0.1
    assert gamma.low <= best["gamma"] <= gamma.high

    extended = await coordinator.extend(started.orchestration_id, additional_trials=3)
    assert extended.stages[4].counts.total == 7
    ended = await bench.ended(started.orchestration_id)
    assert (ended.state, ended.stages[4].counts.succeeded) == (COMPLETED, 7)


async def test_a_progressive_search_is_such_a_plan(bench: Bench) -> None:
    await bench.worker(svm_score, slots=1)
    coordinator = await bench.coordinator()
    model = await bench.model_run()
    preset = await coordinator.progressive(
        model_run_id=model,
        initial_param_grid=GRID,
        n_iter_random=5,
        n_iter_bayesian=2,
        max_concurrent_trials=1,
    )
    await bench.ended(preset.orchestration_id)
    plan = await coordinator.plan(
        model_run_ids=[model],
        param_grids={model: GRID},
        stages=[
            {"method": "grid_search"},
            {"method": "random_search", "n_iter": 5},
            {"method": "bayesian", "n_iter": 2},
        ],
        max_concurrent_trials=1,
    )
    await bench.ended(plan.orchestration_id)
    assert await points(bench, plan.orchestration_id) == await points(
        bench, preset.orchestration_id
    )


async def test_two_models_go_through_the_stages_and_a_study_goes_on(bench: Bench) -> None:
    await bench.worker(svm_score)
    coordinator = await bench.coordinator()
    models = [await bench.model_run(), await bench.model_run("logistic_regression")]
    request: dict[str, Any] = {
        "model_run_ids": models,
        "param_grids": {model: {"C": [1, 10, 100]} for model in models},
        "stages": [
            {"method": "random_search", "n_iter": 2},
            {"method": "random_search", "n_iter": 3, "stopping": {"target_score": 2}},
        ],
        "points_to_try": {models[0]: {"points": [{"parameters": {"C": 100}}]}},
        "study_name": "two models",
    }
    started = await coordinator.plan(**request)
    ended = await bench.ended(started.orchestration_id)
    assert [[run.counts.succeeded for run in stage.tuning_runs] for stage in ended.stages] == [
        [2, 2],
        [3, 3],
    ]
    tried = [
        assignment_from_proto(each.parameters)
        for each in await bench.trials(started.orchestration_id)
        if each.tuning_run_id == ended.stages[0].tuning_runs[0].tuning_run_id
    ]
    assert tried == [{"C": 1.0}, {"C": 100.0}]
    assert ended.stages[0].tuning_runs[0].baseline.HasField("score")
    request["stages"] = [request["stages"][0], {**request["stages"][1], "n_iter": 5}]
    again = await coordinator.plan(**request)
    assert again.orchestration_id == started.orchestration_id
    ended = await bench.ended(started.orchestration_id)
    assert [run.counts.succeeded for run in ended.stages[1].tuning_runs] == [5, 5]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await coordinator.plan(**{**request, "cv_folds": 3})
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert "cv_folds is 5 there and 3 here" in (caught.value.details() or "")


async def test_a_plan_can_be_checked_without_being_started(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    model = await bench.model_run()
    shown = await coordinator.plan(
        model_run_ids=[model],
        param_grids={model: GRID},
        stages=[{"method": "grid_search", "parameters": ["C"]}, {"method": "sobol"}],
        validate_only=True,
    )
    assert shown.orchestration_id == ""
    assert [stage.counts.total for stage in shown.stages] == [3, 20]
    assert [stage.refinement for stage in shown.stages] == ["", "fixed"]


async def test_everything_wrong_with_a_plan_is_told_at_once(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    model = await bench.model_run()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await coordinator.plan(
            model_run_ids=[model],
            param_grids={model: GRID},
            cv_folds=1,
            stages=[
                {"method": "random_search", "refinement": "fixed"},
                {"method": "grid_search", "n_iter": 3},
                {"method": "randm", "n_iter": 0},
                {"method": "local", "radius": 3, "pruning": {"keep": 0}},
                {
                    "method": "bayesian",
                    "parameters": ["C", "C", "kernel"],
                    "refinement": "none",
                    "refinement_factor": 0.5,
                    "explore": 2,
                    "stopping": {"plateau_trials": 0},
                },
            ],
        )
    error = from_rpc_error(caught.value)
    assert isinstance(error, InvalidRequest)
    assert {each.field for each in error.violations} == {
        "cv_folds",
        "stages[0].refinement",
        "stages[1].n_iter",
        "stages[2].method",
        "stages[2].n_iter",
        "stages[3].radius",
        "stages[3].pruning.keep",
        "stages[4].parameters[1]",
        "stages[4].parameters[2]",
        "stages[4].refinement_factor",
        "stages[4].explore",
        "stages[4].stopping.plateau_trials",
    }

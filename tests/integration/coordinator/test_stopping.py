"""Stopping rules over the wire: stages that end early hand on what they found, searches complete."""

from __future__ import annotations

import grpc
import pytest

from tests.integration.coordinator.conftest import Bench, State, svm_score
from tuning.v1 import run_service_pb2

GRID = {"C": [0.1, 1, 10, 100], "gamma": [0.001, 0.01, 0.1]}
COMPLETED = State.LIFECYCLE_STATE_COMPLETED


async def test_a_stage_that_stops_early_hands_its_refined_space_to_the_next(bench: Bench) -> None:
    await bench.worker(svm_score)
    coordinator = await bench.coordinator()
    started = await coordinator.progressive(
        model_run_id=await bench.model_run(),
        initial_param_grid=GRID,
        n_iter_random=40,
        n_iter_bayesian=30,
        stage_stopping={"plateau_trials": 4, "min_improvement": 0.5},
    )
    ended = await bench.ended(started.orchestration_id)
    assert (ended.state, ended.reason) == (COMPLETED, "COMPLETED"), ended
    assert [stage.reason for stage in ended.stages] == ["PLATEAU"] * 3
    # The first score of each stage is an improvement; four more are none.
    assert [stage.counts.succeeded for stage in ended.stages] == [5, 5, 5]
    assert "none of the last 4 trials improved" in ended.stages[0].tuning_runs[0].message
    assert len(await bench.refinements(started.orchestration_id)) == 2
    again = await coordinator.extend(started.orchestration_id, additional_trials=3)
    assert again.stages[2].counts.total == ended.stages[2].counts.total + 3
    ended = await bench.ended(started.orchestration_id)
    assert (ended.state, ended.stages[2].counts.succeeded) == (COMPLETED, 8)


async def test_a_target_ends_the_whole_search(bench: Bench) -> None:
    await bench.worker(svm_score)
    coordinator = await bench.coordinator()
    started = await coordinator.tuning(
        model_run_id=await bench.model_run(),
        tuning_method="random_search",
        param_grid={"C": [*range(1, 60)]},
        n_iter=50,
        stopping={"target_score": 0.97},
    )
    ended = await bench.ended(started.orchestration_id)
    assert (ended.state, ended.reason) == (COMPLETED, "TARGET_REACHED"), ended
    trials = await bench.trials(started.orchestration_id)
    reached = [each for each in trials if each.HasField("score") and each.score >= 0.97]
    assert len(reached) == 1
    assert f"trial {reached[0].number} has" in ended.message
    request = run_service_pb2.GetSearchHistoryRequest(orchestration_id=started.orchestration_id)
    (history,) = (await bench.runs.GetSearchHistory(request, timeout=60)).tuning_runs
    assert history.scored_trials == ended.counts.succeeded
    assert history.improvements[-1].trial_number == reached[0].number
    assert history.best == ended.best.score


async def test_wrong_rules_are_refused_together_with_all_else_that_is_wrong(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await coordinator.progressive(
            model_run_id=await bench.model_run(),
            initial_param_grid=GRID,
            cv_folds=1,
            stopping={"plateau_trials": 0},
            stage_stopping={"min_improvement": 0.1},
        )
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = caught.value.details() or ""
    for field in ("cv_folds", "stopping.plateau_trials", "stage_stopping.min_improvement"):
        assert field in details

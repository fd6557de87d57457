"""Comparing models on the same folds, metric and seed."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.support.clients import Client, plain_parameters
from tuning.v1 import orchestration_pb2

CANCELLED = orchestration_pb2.LIFECYCLE_STATE_CANCELLED
COMPLETED = orchestration_pb2.LIFECYCLE_STATE_COMPLETED
FAILED = orchestration_pb2.LIFECYCLE_STATE_FAILED
PENDING = orchestration_pb2.LIFECYCLE_STATE_PENDING
RUNNING = orchestration_pb2.LIFECYCLE_STATE_RUNNING

MODEL_TYPES = ("k_neighbors_classifier", "decision_tree_classifier", "logistic_regression")


@pytest.mark.parametrize("parallel", [True, False], ids=["parallel", "sequential"])
def test_three_model_types_are_tuned_and_ranked(client: Client, parallel: bool) -> None:
    ids = [client.create_model_run("sklearn:wine", each) for each in MODEL_TYPES]
    grids: dict[str, dict[str, list[Any]]] = {
        ids[0]: {"n_neighbors": [3, 5, 9]},
        ids[1]: {"max_depth": [2, 4], "min_samples_leaf": [1, 3]},
        ids[2]: {"C": [0.01, 0.1]},
    }
    started = client.start_comparison(
        {
            "model_run_ids": ids,
            "tuning_method": "grid_search",
            "param_grids": grids,
            "cv_folds": 3,
            "parallel": parallel,
        }
    )
    assert started.workflow == "multi_model_comparison"
    (stage,) = started.stages
    states = [run.state for run in stage.tuning_runs]
    assert states == ([RUNNING] * 3 if parallel else [RUNNING, PENDING, PENDING])

    ended = client.wait_for_end(started.orchestration_id)
    assert ended.state == COMPLETED
    runs = ended.stages[0].tuning_runs
    assert [run.counts.succeeded for run in runs] == [3, 4, 2]
    assert ended.counts.succeeded == 9
    if not parallel:
        for earlier, later in pairwise(runs):
            assert _time(earlier.timings.ended_at) <= _time(later.timings.started_at)

    answer = client.best_model(started.orchestration_id)
    assert [ranked.rank for ranked in answer.ranking] == [1, 2, 3]
    assert {ranked.model_run_id for ranked in answer.ranking} == set(ids)
    scores = [ranked.best.score for ranked in answer.ranking]
    assert scores == sorted(scores, reverse=True)
    assert answer.best == answer.ranking[0].best
    by_run = {run.tuning_run_id: run for run in runs}
    for ranked in answer.ranking:
        run = by_run[ranked.best.tuning_run_id]
        own = client.trials(started.orchestration_id, tuning_run_id=run.tuning_run_id)
        assert ranked.best.score == max(trial.score for trial in own)
        assert set(plain_parameters(ranked.best.parameters)) == set(grids[ranked.model_run_id])


def test_a_model_without_a_grid_of_its_own_gets_its_default_one(client: Client) -> None:
    ids = [client.create_model_run("sklearn:iris", each) for each in MODEL_TYPES[:2]]
    started = client.start_comparison(
        {
            "model_run_ids": ids,
            "tuning_method": "random_search",
            "n_iter": 3,
            "cv_folds": 3,
        }
    )
    ended = client.wait_for_end(started.orchestration_id)
    assert ended.state == COMPLETED
    assert [run.counts.succeeded for run in ended.stages[0].tuning_runs] == [3, 3]
    assert all(run.space.parameters for run in ended.stages[0].tuning_runs)


def test_a_model_whose_every_trial_fails_is_listed_without_a_rank(client: Client) -> None:
    failing, working = (
        client.create_model_run("sklearn:iris", "k_neighbors_classifier") for _ in range(2)
    )
    started = client.start_comparison(
        {
            "model_run_ids": [failing, working],
            # Only the fit knows that a fold has no more than 100 neighbours.
            "param_grids": {failing: {"n_neighbors": [120, 130]}, working: {"n_neighbors": [1, 3]}},
            "cv_folds": 3,
        }
    )
    ended = client.wait_for_end(started.orchestration_id)
    assert ended.state == COMPLETED
    assert (ended.counts.succeeded, ended.counts.failed) == (2, 2)

    answer = client.best_model(started.orchestration_id)
    assert [ranked.rank for ranked in answer.ranking] == [1, 0]
    assert [ranked.model_run_id for ranked in answer.ranking] == [working, failing]
    assert answer.ranking[1].state == FAILED
    assert answer.ranking[1].message


def test_a_candidate_that_fails_does_not_end_the_search(client: Client) -> None:
    started = client.start_tuning(
        {
            "model_run_id": client.create_model_run("sklearn:iris", "k_neighbors_classifier"),
            "param_grid": {"n_neighbors": [1, 120, 3]},
            "cv_folds": 3,
        }
    )
    ended = client.wait_for_end(started.orchestration_id)
    assert ended.state == COMPLETED
    trials = client.trials(started.orchestration_id)
    assert [trial.HasField("score") for trial in trials] == [True, False, True]
    assert "n_neighbors" in trials[1].failure.message


def test_a_search_whose_every_trial_fails_says_why(client: Client) -> None:
    started = client.start_progressive_search(
        {
            "model_run_id": client.create_model_run("sklearn:iris", "k_neighbors_classifier"),
            "initial_param_grid": {"n_neighbors": [120, 130]},
            "cv_folds": 3,
        }
    )
    ended = client.wait_for_end(started.orchestration_id)
    assert ended.state == FAILED
    assert [stage.state for stage in ended.stages] == [FAILED, CANCELLED, CANCELLED]
    run = ended.stages[0].tuning_runs[0]
    assert run.state == FAILED
    assert run.reason == "ALL_TRIALS_FAILED"
    assert "n_neighbors" in run.message
    trials = client.trials(started.orchestration_id)
    assert len(trials) == 2
    assert all("n_neighbors" in trial.failure.message for trial in trials)
    with pytest.raises(grpc.RpcError) as caught:
        client.best_model(started.orchestration_id)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime()

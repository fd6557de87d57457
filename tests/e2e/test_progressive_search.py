"""A progressive search on real data, from the request to the best model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.model_selection import cross_validate
from sklearn.naive_bayes import GaussianNB

from tests.support.clients import Client, plain_parameters, plain_value
from tuning.v1 import orchestration_pb2, run_service_pb2, search_space_pb2, trial_pb2

COMPLETED = orchestration_pb2.LIFECYCLE_STATE_COMPLETED
PENDING = orchestration_pb2.LIFECYCLE_STATE_PENDING
RUNNING = orchestration_pb2.LIFECYCLE_STATE_RUNNING


def test_a_progressive_search_runs_grid_random_and_bayesian_to_the_best_model(
    client: Client,
) -> None:
    model_run_id = client.create_model_run("sklearn:breast_cancer", "random_forest_classifier")

    started = client.start_progressive_search(
        {
            "model_run_id": model_run_id,
            "initial_param_grid": {"n_estimators": [5, 10, 20], "max_depth": [2, 6]},
            "cv_folds": 3,
            "n_iter_random": 7,
            "n_iter_bayesian": 5,
        }
    )
    assert started.workflow == "progressive_search"
    assert [stage.method for stage in started.stages] == [
        "grid_search",
        "random_search",
        "bayesian",
    ]
    assert [run.state for stage in started.stages for run in stage.tuning_runs] == [
        RUNNING,
        PENDING,
        PENDING,
    ]

    ended = client.wait_for_end(started.orchestration_id)
    assert ended.state == COMPLETED
    assert ended.percentage == 100.0
    assert (ended.counts.total, ended.counts.completed, ended.counts.succeeded) == (18, 18, 18)
    assert [stage.state for stage in ended.stages] == [COMPLETED] * 3
    assert [stage.counts.succeeded for stage in ended.stages] == [6, 7, 5]
    assert [stage.tuning_runs[0].method_used for stage in ended.stages] == [
        "grid_search",
        "random_search",
        "bayesian",
    ]
    assert ended.stages[0].tuning_runs[0].total_combinations == 6

    trials = client.trials(started.orchestration_id)
    assert [trial.number for trial in trials] == list(range(18))
    assert all(trial.state == trial_pb2.TRIAL_STATE_SUCCEEDED for trial in trials)
    assert all(len(trial.metrics[0].split_scores) == 3 for trial in trials)

    best = client.best_model(started.orchestration_id)
    assert best.complete
    assert best.scoring_metric == "accuracy"
    assert best.best.score == max(trial.score for trial in trials)
    assert best.best.model_type == "random_forest_classifier"
    assert best.best.method in {"grid_search", "random_search", "bayesian"}
    assert best.trial.number == best.best.trial_number == ended.best.trial_number
    assert [ranked.rank for ranked in best.ranking] == [1]
    assert best.best.score > 0.9


def test_each_refinement_names_its_evidence_and_stays_inside_the_original_bounds(
    client: Client,
) -> None:
    model_run_id = client.create_model_run("sklearn:wine", "svm_classifier")
    started = client.start_progressive_search(
        {
            "model_run_id": model_run_id,
            "initial_param_grid": {"C": [0.1, 1, 10, 100], "gamma": [0.0001, 0.001, 0.01]},
            "refinement_factor": 0.3,
            "n_iter_random": 8,
            "n_iter_bayesian": 5,
            "cv_folds": 3,
            "selection": {
                "rule": "one_standard_error",
                "simpler": [{"parameter": "C", "prefer": "SIMPLER_VALUES_LOWER"}],
            },
        }
    )
    ended = client.wait_for_end(started.orchestration_id)
    assert ended.state == COMPLETED

    refinements = client.refinements(started.orchestration_id)
    assert len(refinements) == 2
    runs = [stage.tuning_runs[0] for stage in ended.stages]
    trials = {trial.number: trial for trial in client.trials(started.orchestration_id)}
    for number, refinement in enumerate(refinements):
        assert refinement.source_tuning_run_id == runs[number].tuning_run_id
        assert refinement.target_tuning_run_id == runs[number + 1].tuning_run_id
        assert refinement.refinement_factor == pytest.approx(0.3)
        assert refinement.best_trial_number == refinement.evidence_trial_numbers[0]
        evidence = [trials[each] for each in refinement.evidence_trial_numbers]
        assert len(evidence) >= 3
        assert all(trial.stage_index <= number for trial in evidence)
        assert [trial.score for trial in evidence] == sorted(
            (trial.score for trial in evidence), reverse=True
        )
        assert refinement.summary
        assert {each.name for each in refinement.parameters} == {"C", "gamma"}
        assert all(each.explanation for each in refinement.parameters)
        for trial in (each for each in trials.values() if each.stage_index == number + 1):
            lineage = client.lineage(started.orchestration_id, trial.number)
            assert lineage.summary
            refined = trial.phase != "explore"
            assert lineage.HasField("refinement_id") == refined
            if refined:
                assert lineage.refinement_id == refinement.refinement_id
                assert lineage.evidence_trial_numbers == refinement.evidence_trial_numbers
        assert runs[number + 1].space == refinement.space_after
        _assert_inside(refinement.space_after, {"C": (0.1, 100), "gamma": (0.0001, 0.01)})

    for trial in trials.values():
        values = plain_parameters(trial.parameters)
        assert 0.1 <= values["C"] <= 100
        assert 0.0001 <= values["gamma"] <= 0.01
    _assert_selected_by_one_standard_error(client.best_model(started.orchestration_id), trials)


def test_a_parameter_that_mixes_numbers_and_null_goes_through_all_three_stages(
    client: Client,
) -> None:
    model_run_id = client.create_model_run("sklearn:iris", "decision_tree_classifier")
    started = client.start_progressive_search(
        {
            "model_run_id": model_run_id,
            "initial_param_grid": {"max_depth": [5, 10, 20, None], "min_samples_leaf": [1, 2, 4]},
            "n_iter_random": 6,
            "n_iter_bayesian": 5,
        }
    )
    ended = client.wait_for_end(started.orchestration_id)
    assert ended.state == COMPLETED

    trials = client.trials(started.orchestration_id)
    grid = [plain_parameters(trial.parameters)["max_depth"] for trial in trials[:12]]
    assert sorted(map(str, grid)) == sorted(map(str, [5, 10, 20, None] * 3))
    for trial in trials:
        depth = plain_parameters(trial.parameters)["max_depth"]
        assert depth is None or (isinstance(depth, int) and 5 <= depth <= 20)
    later = [stage.counts.succeeded for stage in ended.stages[1:]]
    # Refined, the space may hold fewer points than the stage may run; all of them are then tried.
    for stage, succeeded, planned in zip(ended.stages[1:], later, (6, 5), strict=True):
        space = stage.tuning_runs[0].total_combinations
        assert 1 <= succeeded <= planned
        assert succeeded == planned or stage.reason == "SPACE_EXHAUSTED" or space >= succeeded


def test_the_same_seed_finds_the_same_candidates_in_the_random_stage(client: Client) -> None:
    model_run_id = client.create_model_run("sklearn:iris", "k_neighbors_classifier")
    body = {
        "model_run_id": model_run_id,
        "tuning_method": "random_search",
        "param_grid": {"n_neighbors": list(range(1, 31)), "weights": ["uniform", "distance"]},
        "n_iter": 9,
        "cv_folds": 3,
        "random_state": 7,
    }
    points = []
    for _ in range(2):
        started = client.start_tuning(body)
        assert client.wait_for_end(started.orchestration_id).state == COMPLETED
        trials = client.trials(started.orchestration_id)
        points.append([plain_parameters(trial.parameters) for trial in trials])
    assert len(points[0]) == 9
    assert points[0] == points[1]


def test_a_cross_validation_scores_every_metric_on_every_split(client: Client) -> None:
    from google.protobuf.json_format import ParseDict

    from tuning.v1 import tuning_service_pb2

    model_run_id = client.create_model_run("sklearn:wine", "gaussian_nb")
    request = ParseDict(
        {
            "model_run_id": model_run_id,
            "cv_folds": 4,
            "scoring_metrics": ["accuracy", "f1_weighted"],
            "return_train_scores": True,
        },
        tuning_service_pb2.StartCrossValidationRequest(),
    )
    started = client.tuning.StartCrossValidation(request).orchestration
    assert client.wait_for_end(started.orchestration_id).state == COMPLETED
    (trial,) = client.trials(started.orchestration_id)
    assert [scores.metric for scores in trial.metrics] == ["accuracy", "f1_weighted"]
    assert [len(scores.split_scores) for scores in trial.metrics] == [4, 4]
    assert trial.score == pytest.approx(trial.metrics[0].mean, abs=0)
    expected = cross_validate(
        GaussianNB(),
        *load_wine(return_X_y=True),
        cv=4,
        scoring=["accuracy", "f1_weighted"],
        return_train_score=True,
    )
    for scores in trial.metrics:
        for part, found in (("test", scores.split_scores), ("train", scores.train_scores)):
            assert list(found) == pytest.approx(expected[f"{part}_{scores.metric}"], abs=1e-12)
        assert scores.train_mean == np.mean(scores.train_scores)
    [finished] = [
        event.trial_finished
        for event in client.events(started.orchestration_id)
        if event.HasField("trial_finished")
    ]
    assert list(finished.train_scores) == list(trial.metrics[0].train_scores)


def _assert_selected_by_one_standard_error(
    found: run_service_pb2.GetBestModelResponse, trials: dict[int, trial_pb2.Trial]
) -> None:
    """The simplest, by a lower C, of the trials within one standard error of the best."""
    by_score = max(trials.values(), key=lambda each: each.score)
    error = np.std(by_score.metrics[0].split_scores, ddof=1) / np.sqrt(3)
    near = [each for each in trials.values() if each.score >= by_score.score - error]
    lowest = min(plain_parameters(each.parameters)["C"] for each in near)
    assert plain_parameters(found.best.parameters)["C"] == lowest
    assert found.best.score == trials[found.best.trial_number].score == found.trial.score
    assert found.selection.best_by_score.score == by_score.score
    assert found.selection.candidates == len(near)
    assert found.selection.standard_error == pytest.approx(error)
    assert found.selection.reason


def _assert_inside(space: search_space_pb2.SearchSpace, bounds: dict[str, Any]) -> None:
    for parameter in space.parameters:
        low, high = bounds[parameter.name]
        kind = parameter.WhichOneof("domain")
        if kind == "float_range":
            assert low <= parameter.float_range.low <= parameter.float_range.high <= high
        elif kind == "int_range":
            assert low <= parameter.int_range.low <= parameter.int_range.high <= high
        elif kind == "fixed":
            assert low <= plain_value(parameter.fixed) <= high
        else:
            values = [plain_value(value) for value in getattr(parameter, str(kind)).values]
            assert all(low <= value <= high for value in values)

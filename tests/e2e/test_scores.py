"""Scores and winners are those of scikit-learn's GridSearchCV."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from tests.support.clients import Client, plain_parameters

CASES: dict[str, tuple[Any, ...]] = {
    "svm_on_digits": (
        "sklearn:digits",
        load_digits,
        "svm_classifier",
        SVC(random_state=42),
        {"C": [0.5, 1, 10], "gamma": [0.0005, 0.001]},
    ),
    "forest_on_breast_cancer": (
        "sklearn:breast_cancer",
        load_breast_cancer,
        "random_forest_classifier",
        RandomForestClassifier(random_state=42),
        # Depths 10, 20 and None grow the same trees: ties that must go to the same candidate.
        {"n_estimators": [5, 20], "max_depth": [3, 10, 20, None], "min_samples_split": [2, 5]},
    ),
    # A list of grids that share a point: scikit-learn tries it twice, and so do we.
    "svm_on_iris_by_two_grids": (
        "sklearn:iris",
        load_iris,
        "svm_classifier",
        SVC(random_state=42),
        [
            {"kernel": ["linear"], "C": [0.1, 1, 10]},
            {"kernel": ["rbf", "linear"], "C": [1, 10], "gamma": [0.01, 0.1, 1.0]},
            {"kernel": ["linear"], "C": [1]},
        ],
    ),
}


def _listed(grids: list[dict[str, Any]]) -> dict[str, Any]:
    return {"param_grid_list": [{"values": each} for each in grids]}


@pytest.mark.parametrize("case", CASES)
def test_scores_per_split_and_the_winner_equal_those_of_grid_search_cv(
    client: Client, case: str
) -> None:
    dataset_id, load, model_type, estimator, grid = CASES[case]
    model_run_id = client.create_model_run(dataset_id, model_type)
    started = client.start_tuning(
        {
            "model_run_id": model_run_id,
            "tuning_method": "grid_search",
            **({"param_grid": grid} if isinstance(grid, dict) else _listed(grid)),
            "cv_folds": 5,
            "scoring_metric": "accuracy",
            "random_state": 42,
        }
    )
    x, y = load(return_X_y=True)
    reference = GridSearchCV(estimator, grid, cv=5, scoring="accuracy", refit=False).fit(x, y)
    results: dict[str, Any] = reference.cv_results_

    client.wait_for_end(started.orchestration_id)
    trials = client.trials(started.orchestration_id)
    assert len(trials) == len(results["params"])
    for trial in trials:
        index = trial.candidate_index
        assert plain_parameters(trial.parameters) == results["params"][index]
        expected = [results[f"split{split}_test_score"][index] for split in range(5)]
        np.testing.assert_allclose(trial.metrics[0].split_scores, expected, rtol=0, atol=1e-12)
        assert trial.score == pytest.approx(results["mean_test_score"][index], abs=1e-12)

    best = client.best_model(started.orchestration_id)
    assert best.trial.candidate_index == reference.best_index_
    assert plain_parameters(best.best.parameters) == reference.best_params_

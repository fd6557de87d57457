"""Candidates that fail: whose fault it is, in whose words, and what of their splits is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_validate

from services.core.objective import EvaluationSpec, Step
from services.core.trial import FailureKind
from tests.integration.worker.datasets import built_in, from_frame
from tests.integration.worker.oracle import evaluate, prepared


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return built_in("breast_cancer").materialise(tmp_path / "data")


def _spec(**changes: Any) -> EvaluationSpec:
    values: dict[str, Any] = {
        "dataset_id": "x",
        "dataset_hash": "",
        "model_type": "logistic_regression",
        "metrics": ("accuracy",),
        "cv_folds": 3,
    }
    return EvaluationSpec(**(values | changes))


def test_parameters_the_estimator_refuses_are_told_in_its_own_words(folder: Path) -> None:
    result = evaluate(prepared(_spec(), folder), {"C": -1.0})
    assert result.failure is not None
    assert result.failure.kind is FailureKind.INVALID_PARAMETERS
    assert "The 'C' parameter of LogisticRegression must be" in result.failure.message
    assert result.metrics == ()


def test_a_combination_only_the_estimator_knows_is_invalid_in_its_own_words(folder: Path) -> None:
    result = evaluate(prepared(_spec(), folder), {"l1_ratio": 1.0, "solver": "lbfgs"})
    assert result.failure is not None
    assert result.failure.kind is FailureKind.INVALID_PARAMETERS
    assert result.failure.message.startswith("Solver lbfgs supports only")


def test_data_that_no_candidate_can_take_are_not_the_parameters_fault(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [np.nan, *range(11)], "kind": ["x", "y", "z"] * 4})
    folder = from_frame(frame, target="kind", task="classification").materialise(tmp_path / "data")
    for parameters in ({}, {"C": 10.0}):
        result = evaluate(prepared(_spec(cv_folds=2), folder), parameters)
        assert result.failure is not None
        assert result.failure.kind is FailureKind.EXCEPTION
        assert result.failure.message.startswith("ValueError: Input X contains NaN")


def test_unknown_parameters_are_invalid(folder: Path) -> None:
    result = evaluate(prepared(_spec(), folder), {"kernel": "rbf"})
    assert result.failure is not None
    assert result.failure.kind is FailureKind.INVALID_PARAMETERS
    assert "kernel" in result.failure.message


def test_a_fold_that_fails_keeps_the_splits_before_it(tmp_path: Path) -> None:
    # chi2 refuses negative values; the only one is tested on first and trained on ever after.
    frame = pd.DataFrame({"x": np.arange(60.0), "y": np.arange(60.0) % 7})
    frame.loc[0, "x"] = -1.0
    frame["target"] = np.arange(60) % 2
    dataset = from_frame(frame, target="target", task="classification")
    select = Step(type="select_k_best", name="select", parameters={"k": 1})
    spec = _spec(steps=(select,))
    result = evaluate(
        prepared(spec, dataset.materialise(tmp_path / "data")), {"select__score_func": "chi2"}
    )
    assert result.failure is not None
    assert result.failure.kind is FailureKind.EXCEPTION
    assert "non-negative" in result.failure.message
    assert [len(each.scores) for each in result.metrics] == [1]


@pytest.mark.filterwarnings("ignore")
def test_an_objective_that_is_not_finite_is_a_failure(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0], "target": [0.0, 1.0, 0.0]})
    dataset = from_frame(frame, target="target", task="regression")
    # r2 of a single row is undefined.
    spec = _spec(model_type="ridge", cv_folds=3, metrics=("r2",))
    result = evaluate(prepared(spec, dataset.materialise(tmp_path / "data")), {})
    assert result.failure is not None
    assert result.failure.kind is FailureKind.NON_FINITE


@pytest.mark.filterwarnings("ignore")
def test_a_secondary_metric_may_be_undefined(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0], "target": [0.0, 1.0, 0.0]})
    dataset = from_frame(frame, target="target", task="regression")
    spec = _spec(model_type="ridge", cv_folds=3, metrics=("neg_mean_absolute_error", "r2"))
    result = evaluate(prepared(spec, dataset.materialise(tmp_path / "data")), {})
    assert result.failure is None
    assert np.isnan(result.metrics[1].scores).all()


@pytest.mark.filterwarnings("ignore")
def test_a_metric_that_cannot_be_computed_costs_the_trial_nothing_but_its_own_scores(
    tmp_path: Path,
) -> None:
    # A deviance takes no negative predictions, which a line through a curve makes.
    x = np.linspace(-2.0, 2.0, 60)
    frame = pd.DataFrame({"x": x, "target": np.exp(2 * x)}).sample(frac=1.0, random_state=1)
    dataset = from_frame(frame, target="target", task="regression")
    folder = dataset.materialise(tmp_path / "data")
    metrics = ("r2", "neg_mean_poisson_deviance", "neg_mean_absolute_error")
    spec = _spec(model_type="linear_regression", metrics=metrics, return_train_scores=True)
    result = evaluate(prepared(spec, folder), {})
    assert result.failure is None
    oracle = cross_validate(
        LinearRegression(),
        dataset.features.to_numpy(),
        dataset.target,
        scoring=list(metrics),
        cv=spec.cv_folds,
        return_train_score=True,
    )
    assert np.isnan(oracle["test_neg_mean_poisson_deviance"]).any()
    for each in result.metrics:
        np.testing.assert_array_equal(each.scores, oracle[f"test_{each.metric}"])
        np.testing.assert_array_equal(each.train_scores, oracle[f"train_{each.metric}"])

    as_objective = replace(spec, metrics=metrics[1:] + metrics[:1])
    failed = evaluate(prepared(as_objective, folder), {}).failure
    assert failed is not None
    assert failed.kind is FailureKind.EXCEPTION
    assert "strictly positive y_pred" in failed.message


@pytest.mark.filterwarnings("ignore")
def test_solvers_that_do_not_converge_are_no_failure(folder: Path) -> None:
    result = evaluate(prepared(_spec(), folder), {"max_iter": 1})
    assert result.failure is None


@pytest.mark.parametrize("algorithm", ["brute", "kd_tree"])
@pytest.mark.parametrize("metric", ["accuracy", "roc_auc"])
def test_more_neighbours_than_rows_are_the_parameters_fault_though_only_predictions_fail(
    folder: Path, algorithm: str, metric: str
) -> None:
    for steps in ((), (Step(type="standard_scaler", name="scale"),)):
        evaluation = prepared(
            _spec(model_type="k_neighbors_classifier", metrics=(metric,), steps=steps), folder
        )
        result = evaluate(evaluation, {"n_neighbors": 400, "algorithm": algorithm})
        assert result.failure is not None
        assert result.failure.kind is FailureKind.INVALID_PARAMETERS
        assert result.failure.message.startswith(
            "Expected n_neighbors <= n_samples_fit, but n_neighbors = 400, n_samples_fit = 379"
        )
        assert evaluate(evaluation, {"n_neighbors": 100}).failure is None


def test_too_few_rows_for_the_model_run_as_it_is_are_not_the_parameters_fault(
    tmp_path: Path,
) -> None:
    frame = pd.DataFrame({"x": np.arange(6.0), "target": np.arange(6.0)})
    dataset = from_frame(frame, target="target", task="regression")
    spec = _spec(
        model_type="k_neighbors_regressor", metrics=("neg_mean_absolute_error",), cv_folds=3
    )
    evaluation = prepared(spec, dataset.materialise(tmp_path / "data"))
    for parameters in ({}, {"n_neighbors": 6}):
        result = evaluate(evaluation, parameters)
        assert result.failure is not None
        assert result.failure.kind is FailureKind.EXCEPTION
    assert evaluate(evaluation, {"n_neighbors": 4}).failure is None

"""The table of model types against scikit-learn itself."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import is_classifier, is_regressor
from sklearn.datasets import make_classification, make_regression
from threadpoolctl import threadpool_limits

from services.core.grid import grid_point, grid_size
from services.core.model_catalog import MODEL_TYPES
from services.core.model_types import ModelType
from services.core.objective import Task
from services.core.parameter_schema import Refused, allows, check_value
from tests.unit.core.schema_values import allowed_values

_EXPECTED = {
    *(
        f"{family}_{kind}"
        for family in (
            "random_forest",
            "extra_trees",
            "gradient_boosting",
            "hist_gradient_boosting",
            "svm",
            "k_neighbors",
            "decision_tree",
            "mlp",
        )
        for kind in ("classifier", "regressor")
    ),
    "logistic_regression",
    "ridge_classifier",
    "gaussian_nb",
    "ridge",
    "elastic_net",
    "lasso",
    "linear_regression",
}

each_model = pytest.mark.parametrize("model", MODEL_TYPES.values(), ids=MODEL_TYPES)


def _estimator(model: ModelType, **parameters: object) -> Any:
    module, name = model.estimator.split(":")
    return getattr(importlib.import_module(module), name)(**parameters)


def test_the_table_holds_what_is_promised() -> None:
    assert set(MODEL_TYPES) == _EXPECTED
    assert all(name == model.name for name, model in MODEL_TYPES.items())


@each_model
def test_every_parameter_is_in_the_schema_or_blocked(model: ModelType) -> None:
    actual = set(_estimator(model).get_params())
    assert set(model.parameters) | set(model.blocked) == actual
    assert not set(model.parameters) & set(model.blocked)
    assert model.seeded == ("random_state" in actual)


@each_model
def test_the_task_is_that_of_the_class(model: ModelType) -> None:
    estimator = _estimator(model)
    assert is_classifier(estimator) == (model.task is Task.CLASSIFICATION)
    assert is_regressor(estimator) == (model.task is Task.REGRESSION)
    assert model.probabilities == hasattr(estimator, "predict_proba")
    assert model.takes_missing == estimator.__sklearn_tags__().input_tags.allow_nan


@each_model
def test_defaults_of_the_class_satisfy_the_schema(model: ModelType) -> None:
    defaults = _estimator(model).get_params()
    for name, schema in model.parameters.items():
        checked = check_value(schema, defaults[name])
        assert not isinstance(checked, Refused), (name, checked)


@each_model
def test_the_default_grid_is_valid_and_of_a_sensible_size(model: ModelType) -> None:
    for name, values in model.default_grid.items():
        assert all(allows(model.parameters[name], each) for each in values), name
    size = grid_size(model.default_space)
    # A linear regression has no more to choose than these four.
    assert size == 4 if model.name == "linear_regression" else 9 <= size <= 36


@each_model
def test_what_the_schema_allows_scikit_learn_accepts(model: ModelType) -> None:
    rng = np.random.default_rng(3)
    for name, schema in model.parameters.items():
        for value in allowed_values(schema, rng):
            assert allows(schema, value), (name, value)
            _estimator(model, **{name: value})._validate_params()


@each_model
def test_no_parameter_takes_what_could_reach_outside(model: ModelType) -> None:
    for schema in model.parameters.values():
        for value in ("/etc/passwd", {"a": 1}, [[1]], float("nan"), float("inf"), "precomputed"):
            assert isinstance(check_value(schema, value), Refused)
    assert not {"n_jobs", "verbose", "memory", "warm_start"} & set(model.parameters)


@each_model
def test_the_ends_of_the_default_grid_fit(model: ModelType) -> None:
    classifies = model.task is Task.CLASSIFICATION
    make = make_classification if classifies else make_regression
    features, target = make(n_samples=60, n_features=5, random_state=0)
    size = grid_size(model.default_space)
    quick = {"n_estimators": 3, "max_iter": 10 if "max_iter" in model.parameters else None}
    for index in (0, size - 1):
        point = dict(grid_point(model.default_space, index))
        point.update(
            {name: each for name, each in quick.items() if each and name in model.parameters}
        )
        # Threads that spin for their turn take seconds on a busy machine.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            _estimator(model, **point).fit(features, target).predict(features)

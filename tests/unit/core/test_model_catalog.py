"""The table of model types against the libraries themselves."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import is_classifier, is_regressor
from sklearn.datasets import make_classification, make_regression
from sklearn.utils.validation import has_fit_parameter
from threadpoolctl import threadpool_limits

from services.core import early_stopping
from services.core.grid import grid_point, grid_size
from services.core.model_catalog import MODEL_TYPES
from services.core.model_types import ModelType
from services.core.objective import Task
from services.core.parameter_schema import Refused, allows, as_json, check_value
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
            "xgboost",
            "lightgbm",
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
    stops = set(early_stopping.PARAMETERS) & set(model.parameters)
    # Workers read those of early stopping and pass none of them on.
    assert (set(model.parameters) | set(model.blocked)) - stops == actual - stops
    assert bool(stops) == (model.library in ("xgboost", "lightgbm"))
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
        # What scikit-learn will drop is left alone by default, under this name.
        if name in early_stopping.PARAMETERS or defaults[name] == "deprecated":
            continue
        checked = check_value(schema, as_json(schema, defaults[name]))
        assert not isinstance(checked, Refused), (name, checked)


@each_model
def test_the_default_grid_is_valid_and_of_a_sensible_size(model: ModelType) -> None:
    for name, values in model.default_grid.items():
        assert all(allows(model.parameters[name], each) for each in values), name
    size = grid_size(model.default_space)
    # A linear regression has no more to choose than these four.
    assert size == 4 if model.name == "linear_regression" else 9 <= size <= 36


@pytest.mark.parametrize(
    "model", [each for each in MODEL_TYPES.values() if each.library == "sklearn"]
)
def test_what_the_schema_allows_scikit_learn_accepts(model: ModelType) -> None:
    rng = np.random.default_rng(3)
    for name, schema in model.parameters.items():
        for value in allowed_values(schema, rng):
            assert allows(schema, value), (name, value)
            _estimator(model, **{name: value})._validate_params()


@pytest.mark.parametrize(
    "name", [each.name for each in MODEL_TYPES.values() if each.library != "sklearn"]
)
def test_what_the_schema_allows_boosting_libraries_accept(name: str) -> None:
    model = MODEL_TYPES[name]
    classifies = model.task is Task.CLASSIFICATION
    features = np.random.default_rng(1).random((40, 3))
    target = np.arange(40) % 2 if classifies else features[:, 0] + 0.1
    small = {"n_estimators": 2, **model.settings}
    for parameter, schema in model.parameters.items():
        if parameter in early_stopping.PARAMETERS:
            continue
        values: list[Any] = [*schema.strings, *([None] if schema.nullable else [])]
        if schema.floats is not None:
            values += [schema.floats.low or 1e-9, 0.5, min(schema.floats.high, 10.0)]
        if schema.ints is not None:
            values += [schema.ints.low, 3]
        for value in values:
            assert allows(schema, value), (parameter, value)
            fitted = _estimator(model, **{**small, parameter: value}).fit(features, target)
            assert np.isfinite(fitted.predict(features).astype(float)).all()


@each_model
def test_workers_set_only_what_clients_may_not(model: ModelType) -> None:
    assert not set(model.settings) & set(model.parameters)
    if "n_jobs" in _estimator(model).get_params() and model.library != "sklearn":
        assert model.settings["n_jobs"] == 1


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


@each_model
def test_models_that_take_weights_are_known(model: ModelType) -> None:
    assert model.takes_weights == has_fit_parameter(_estimator(model), "sample_weight")

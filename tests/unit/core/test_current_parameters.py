"""What a model's parameters are now, against scikit-learn itself."""

from __future__ import annotations

import importlib

import pytest

from services.core.current_parameters import current_parameters, outside
from services.core.model_catalog import MODEL_TYPES
from services.core.model_defaults import default_parameters
from services.core.model_types import ModelType
from services.core.objective import Step
from services.core.parameter_schema import as_json, check_value
from services.core.space import Choices, FloatRange, Parameter, SearchSpace

_SKLEARN = [each for each in MODEL_TYPES.values() if each.estimator.startswith("sklearn.")]


@pytest.mark.parametrize("model", _SKLEARN, ids=[each.name for each in _SKLEARN])
def test_the_table_of_defaults_is_scikit_learns(model: ModelType) -> None:
    module, name = model.estimator.split(":")
    actual = getattr(importlib.import_module(module), name)().get_params()
    expected = {
        name: check_value(schema, as_json(schema, actual[name]))
        for name, schema in model.parameters.items()
        if name != "random_state" and actual[name] != "deprecated"
    }
    defaults = default_parameters(model.name)
    assert dict(defaults) == expected
    assert {name: type(value) for name, value in defaults.items()} == {
        name: type(value) for name, value in expected.items()
    }


def test_of_other_model_types_nothing_is_known() -> None:
    assert default_parameters("no such model") == {}


def test_what_the_model_run_fixes_comes_before_defaults_and_steps_are_named() -> None:
    step = Step(type="pca", name="pca", parameters={"n_components": 5})
    names = ["C", "gamma", "pca__n_components", "pca__whiten", "nothing"]
    assert current_parameters("svm_classifier", {"C": 7.0}, [step], names) == {
        "C": 7.0,
        "gamma": "scale",
        "pca__n_components": 5,
    }


def test_what_lies_outside_a_space_is_named() -> None:
    space = SearchSpace.of(
        [
            Parameter(name="C", domain=FloatRange(low=1.0, high=2.0)),
            Parameter(name="kernel", domain=Choices(values=("rbf",))),
            Parameter(name="degree", domain=Choices(values=(2, 3))),
        ]
    )
    assert outside(space, {"C": 1.0, "kernel": "rbf", "degree": 3}) == []
    assert outside(space, {"C": 3.0, "kernel": "rbf"}) == ["C is 3.0", "degree has no known value"]

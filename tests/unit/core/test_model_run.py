from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from services.core.errors import InvalidRequest
from services.core.model_catalog import MODEL_TYPES
from services.core.model_run import (
    CheckedModelRun,
    StepRequest,
    searchable_parameters,
    validate_model_run,
)
from services.core.objective import (
    ColumnKind,
    Step,
    Task,
)
from services.core.parameter_schema import Refused, check_value
from services.core.preprocessing_types import (
    SCORE_FUNCTIONS,
    SEEDED_FUNCTIONS,
    STEP_TYPES,
    step_arguments,
    step_columns,
)
from services.core.step_type import StepType
from tests.unit.core.schema_values import allowed_values

each_type = pytest.mark.parametrize("step_type", STEP_TYPES.values(), ids=STEP_TYPES)


def _transformer(step_type: StepType, **arguments: object) -> Any:
    module, name = step_type.transformer.split(":")
    return getattr(importlib.import_module(module), name)(**arguments)


def _function(path: str) -> Any:
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)


# --- The table of preprocessing types -----------------------------------------------------------


@each_type
def test_every_parameter_of_a_step_is_in_the_schema_or_blocked(step_type: StepType) -> None:
    transformer = _transformer(step_type)
    actual = set(transformer.get_params())
    assert set(step_type.parameters) | set(step_type.blocked) == actual
    assert not set(step_type.parameters) & set(step_type.blocked)
    assert set(step_type.defaults) <= actual


@each_type
def test_defaults_of_a_transformer_satisfy_the_schema(step_type: StepType) -> None:
    defaults = _transformer(step_type).get_params()
    # A function and a NaN have no JSON form; leaving the parameter out means them.
    for name in set(step_type.parameters) - {"score_func", "encoded_missing_value"}:
        assert not isinstance(check_value(step_type.parameters[name], defaults[name]), Refused)


@each_type
def test_what_a_step_allows_scikit_learn_accepts(step_type: StepType) -> None:
    rng = np.random.default_rng(5)
    for name, schema in step_type.parameters.items():
        for value in allowed_values(schema, rng):
            given = value
            if isinstance(value, str) and value in step_type.functions:
                given = _function(step_type.functions[value])
            _transformer(step_type, **{name: given})._validate_params()


@each_type
@pytest.mark.filterwarnings("ignore:n_quantiles")
@pytest.mark.parametrize("task", Task)
def test_steps_work_as_they_come(step_type: StepType, task: Task) -> None:
    step = Step(type=step_type.name, name="s")
    arguments: dict[str, object] = dict(step_arguments(step, task))
    if "score_func" in arguments:
        assert SCORE_FUNCTIONS[str(arguments["score_func"])] is task
        arguments["score_func"] = _function(step_type.functions[str(arguments["score_func"])])
        arguments["k"] = 1
    features = np.arange(24.0).reshape(12, 2) % 7
    target = np.arange(12) % 3
    fitted = _transformer(step_type, **arguments).fit(features, target)
    # Values that the fit has not seen must not fail a fold.
    assert isinstance(fitted.transform(features + 1.0), np.ndarray)


@each_type
def test_what_takes_missing_values_is_as_scikit_learn_says(step_type: StepType) -> None:
    tags = _transformer(step_type).__sklearn_tags__()
    assert step_type.takes_missing == tags.input_tags.allow_nan


def test_a_target_encoder_takes_whole_numbers_of_a_regression_for_no_classes() -> None:
    step = Step(type="target_encoder", name="t")
    assert step_arguments(step, Task.REGRESSION)["target_type"] == "continuous"
    assert "target_type" not in step_arguments(step, Task.CLASSIFICATION)


def test_functions_that_draw_random_numbers_are_named() -> None:
    for name in SCORE_FUNCTIONS:
        function = _function(STEP_TYPES["select_k_best"].functions[name])
        takes_seed = "random_state" in function.__wrapped__.__annotations__ or (
            "random_state" in function.__wrapped__.__kwdefaults__
            if function.__wrapped__.__kwdefaults__
            else False
        )
        assert takes_seed == (name in SEEDED_FUNCTIONS)


def test_columns_follow_the_type_unless_the_step_says_otherwise() -> None:
    def columns(kind: str, **parameters: str) -> ColumnKind:
        return step_columns(Step(type=kind, name="s", parameters=parameters))

    assert columns("standard_scaler") is ColumnKind.NUMERIC
    assert columns("one_hot_encoder") is ColumnKind.CATEGORICAL
    assert columns("select_k_best") is ColumnKind.ALL
    assert columns("impute") is ColumnKind.NUMERIC
    assert columns("impute", strategy="most_frequent") is ColumnKind.ALL
    chosen = Step(type="impute", name="s", columns=ColumnKind.CATEGORICAL)
    assert step_columns(chosen) is ColumnKind.CATEGORICAL


def test_an_ordinal_encoder_that_refuses_unknown_categories_has_no_code_for_them() -> None:
    step = Step(type="ordinal_encoder", name="o", parameters={"handle_unknown": "error"})
    assert step_arguments(step, Task.CLASSIFICATION) == {"handle_unknown": "error"}


# --- Checking a model run -----------------------------------------------------------------------


def _validated(**changes: Any) -> CheckedModelRun:
    request: dict[str, Any] = {
        "model_type": "random_forest_classifier",
        "fixed_parameters": {},
        "steps": [],
        "task": Task.CLASSIFICATION,
    }
    return validate_model_run(**{**request, **changes})


def _problems(**changes: Any) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as raised:
        _validated(**changes)
    return {each.field: each.description for each in raised.value.violations}


def test_a_good_model_run_comes_back_typed() -> None:
    checked = _validated(
        fixed_parameters={"n_estimators": 50.0, "max_features": 0.5, "random_state": 1.0},
        steps=[
            StepRequest(type="impute", parameters={"strategy": "median"}),
            StepRequest(type="one_hot_encoder", name="encode", columns=ColumnKind.ALL),
        ],
        categorical_columns=["city"],
    )
    assert repr(checked.fixed_parameters) == (
        "{'max_features': 0.5, 'n_estimators': 50, 'random_state': 1}"
    )
    assert [each.name for each in checked.steps] == ["impute", "encode"]
    assert checked.model_type.name == "random_forest_classifier"


def test_everything_wrong_with_a_model_run_is_told_at_once() -> None:
    problems = _problems(
        fixed_parameters={"n_estimators": 0.0, "depth": 3.0, "n_jobs": 2.0},
        steps=[
            StepRequest(type="scaler", columns=9),
            StepRequest(type="impute", parameters={"strategy": "mode", "copy": True}),
            StepRequest(type="impute"),
            StepRequest(type="standard_scaler", name="model"),
            StepRequest(type="standard_scaler", name="a__b"),
            StepRequest(type="select_k_best", parameters={"score_func": "f_regression"}),
            StepRequest(type="ordinal_encoder", parameters={"unknown_value": None}),
        ],
    )
    assert set(problems) == {
        'fixed_parameters["n_estimators"]',
        'fixed_parameters["depth"]',
        'fixed_parameters["n_jobs"]',
        "preprocessing[0].type",
        "preprocessing[0].columns",
        'preprocessing[1].parameters["strategy"]',
        'preprocessing[1].parameters["copy"]',
        "preprocessing[2].name",
        "preprocessing[3].name",
        "preprocessing[4].name",
        'preprocessing[5].parameters["score_func"]',
        'preprocessing[6].parameters["unknown_value"]',
    }
    assert problems["preprocessing[0].columns"] == (
        "9 is no kind of columns; use one of all, numeric, categorical, or leave it out"
    )
    assert 'did you mean "standard_scaler"?' in problems["preprocessing[0].type"] or (
        "known: impute" in problems["preprocessing[0].type"]
    )


def test_unknown_model_types_name_the_known_ones_of_the_task() -> None:
    problems = _problems(model_type="random_forrest_classifier")
    assert 'did you mean "random_forest_classifier"?' in problems["model_type"]
    assert "ridge_classifier" in problems["model_type"]
    assert "elastic_net" not in problems["model_type"]


def test_a_regressor_does_not_go_with_classes() -> None:
    assert "is for regression" in _problems(model_type="ridge")["model_type"]


def test_text_columns_need_an_encoder() -> None:
    scaled = [StepRequest(type="standard_scaler")]
    problems = _problems(steps=scaled, categorical_columns=["city", "street"])
    assert '"city", "street"' in problems["preprocessing"]
    many = _problems(categorical_columns=[f"c{place}" for place in range(15)])
    assert many["preprocessing"].startswith("nothing encodes the text columns")
    assert "and 5 more" in many["preprocessing"]
    for_numbers = [StepRequest(type="one_hot_encoder", columns=ColumnKind.NUMERIC)]
    assert "preprocessing" in _problems(steps=for_numbers, categorical_columns=["city"])


def test_missing_values_need_a_model_that_takes_them_or_an_imputer() -> None:
    assert _validated(missing_columns=["age"]).steps == ()
    problems = _problems(model_type="svm_classifier", missing_columns=["age"])
    assert '"age"' in problems["preprocessing"]
    imputed = [StepRequest(type="impute")]
    checked = _validated(model_type="svm_classifier", missing_columns=["age"], steps=imputed)
    assert len(checked.steps) == 1


def test_steps_that_take_no_missing_values_need_an_imputer_before_them() -> None:
    late = [StepRequest(type="pca"), StepRequest(type="impute")]
    problems = _problems(missing_columns=["age"], steps=late)
    assert problems == {
        "preprocessing[0]": 'pca takes no missing values, and the columns "age" have some; add an '
        "impute step before it"
    }
    assert len(_validated(missing_columns=["age"], steps=late[::-1]).steps) == 2
    text = [StepRequest(type="impute", columns=ColumnKind.CATEGORICAL), *late]
    assert "preprocessing[1]" in _problems(missing_columns=["age"], steps=text)
    kept = [StepRequest(type="power_transformer"), StepRequest(type="variance_threshold")]
    assert len(_validated(missing_columns=["age"], steps=kept).steps) == 2


def test_a_grid_may_name_parameters_of_the_estimator_and_of_steps() -> None:
    schemas = searchable_parameters(
        MODEL_TYPES["svm_classifier"], [Step(type="select_k_best", name="pick")]
    )
    assert {"C", "gamma", "pick__k", "pick__score_func"} <= set(schemas)

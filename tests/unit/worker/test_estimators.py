from __future__ import annotations

from typing import Any

import pytest
from sklearn.feature_selection import chi2, f_classif, f_regression
from sklearn.pipeline import Pipeline

from services.core.model_catalog import MODEL_TYPES
from services.core.objective import ColumnKind, EvaluationSpec, Step
from services.worker.adapters.evaluation.estimators import build


def spec(**changes: Any) -> EvaluationSpec:
    values: dict[str, Any] = {
        "dataset_id": "d",
        "dataset_hash": "",
        "model_type": "random_forest_classifier",
        "metrics": ("accuracy",),
        "random_state": 7,
    }
    return EvaluationSpec(**(values | changes))


@pytest.mark.parametrize("name", MODEL_TYPES)
def test_every_model_type_of_the_table_can_be_built(name: str) -> None:
    built = build(spec(model_type=name), numeric=["a"], categorical=[])
    model = MODEL_TYPES[name]
    assert type(built.estimator).__name__ == model.estimator.rpartition(":")[2]
    point = {key: values[0] for key, values in model.default_grid.items()}
    parameters = built.with_parameters(point).get_params()
    assert {key: parameters[key] for key in point} == point


def test_a_model_without_steps_is_bare_and_seeded() -> None:
    built = build(spec(), numeric=["a"], categorical=[])
    assert built.estimator.random_state == 7
    assert built.with_parameters({"n_estimators": 3}).n_estimators == 3


def test_a_fixed_seed_stays_and_so_does_none() -> None:
    for fixed in (3, None):
        built = build(spec(fixed_parameters={"random_state": fixed}), numeric=["a"], categorical=[])
        assert built.estimator.random_state == fixed


def test_steps_make_a_plain_pipeline_of_numeric_data() -> None:
    steps = (
        Step(type="one_hot_encoder", name="encode"),
        Step(type="standard_scaler", name="scale"),
        Step(type="select_k_best", name="select", parameters={"k": 2}),
    )
    built = build(spec(steps=steps), numeric=["a", "b", "c"], categorical=[])
    assert [name for name, _ in built.estimator.steps] == ["scale", "select", "model"]
    estimator = built.with_parameters({"select__k": 1, "max_depth": 3, "encode__drop": "first"})
    assert estimator.get_params()["select__k"] == 1
    assert estimator.get_params()["model__max_depth"] == 3


def test_numeric_steps_are_left_out_where_there_is_text_only() -> None:
    steps = (
        Step(type="standard_scaler", name="scale"),
        Step(type="ordinal_encoder", name="encode"),
    )
    built = build(spec(steps=steps), numeric=[], categorical=["a"])
    assert [name for name, _ in built.estimator.steps] == ["encode", "model"]


def test_steps_for_each_kind_stand_side_by_side_and_keep_their_names() -> None:
    steps = (
        Step(type="impute", name="numbers"),
        Step(
            type="impute",
            name="texts",
            parameters={"strategy": "most_frequent"},
            columns=ColumnKind.CATEGORICAL,
        ),
        Step(type="one_hot_encoder", name="encode"),
        Step(type="min_max_scaler", name="scale"),
    )
    built = build(spec(steps=steps), numeric=["a", "b"], categorical=["c"])
    assert [name for name, _ in built.estimator.steps] == ["columns", "model"]
    transformer = built.estimator.named_steps["columns"]
    branches = {name: branch for name, branch, _ in transformer.transformers}
    assert isinstance(branches["numeric"], Pipeline)
    assert [name for name, _ in branches["numeric"].steps] == ["numbers", "scale"]
    assert [name for name, _ in branches["categorical"].steps] == ["texts", "encode"]
    estimator = built.with_parameters({"numbers__strategy": "median", "encode__drop": "first"})
    parameters = estimator.get_params()
    assert parameters["columns__numeric__numbers__strategy"] == "median"
    assert parameters["columns__categorical__encode__drop"] == "first"


def test_after_an_encoder_every_column_is_numeric() -> None:
    steps = (
        Step(type="one_hot_encoder", name="encode"),
        Step(type="select_k_best", name="select"),
        Step(type="standard_scaler", name="scale"),
    )
    built = build(spec(steps=steps), numeric=["a"], categorical=["c"])
    assert [name for name, _ in built.estimator.steps] == ["columns", "select", "scale", "model"]


def test_a_step_named_like_the_group_keeps_its_name() -> None:
    steps = (
        Step(type="one_hot_encoder", name="columns"),
        Step(type="select_k_best", name="columns2"),
    )
    built = build(spec(steps=steps), numeric=["a"], categorical=["c"])
    names = [name for name, _ in built.estimator.steps]
    assert len(set(names)) == len(names)
    estimator = built.with_parameters({"columns__drop": "first", "columns2__k": 1})
    assert estimator.get_params()[f"{built.prefixes['columns']}__drop"] == "first"


def test_select_k_best_ranks_by_what_fits_the_task() -> None:
    steps = (Step(type="select_k_best", name="select"),)
    classify = build(spec(steps=steps), numeric=["a"], categorical=[])
    assert classify.estimator.named_steps["select"].score_func is f_classif
    regress = build(spec(steps=steps, model_type="ridge"), numeric=["a"], categorical=[])
    assert regress.estimator.named_steps["select"].score_func is f_regression
    searched = classify.with_parameters({"select__score_func": "chi2"})
    assert searched.named_steps["select"].score_func is chi2


def test_score_functions_that_draw_numbers_are_seeded() -> None:
    step = Step(
        type="select_k_best", name="select", parameters={"score_func": "mutual_info_classif"}
    )
    built = build(spec(steps=(step,)), numeric=["a"], categorical=[])
    assert built.estimator.named_steps["select"].score_func.keywords == {"random_state": 7}


def test_defaults_of_a_step_follow_what_a_trial_sets() -> None:
    steps = (Step(type="ordinal_encoder", name="encode"),)
    built = build(spec(steps=steps), numeric=[], categorical=["c"])
    assert built.estimator.named_steps["encode"].unknown_value == -1
    strict = built.with_parameters({"encode__handle_unknown": "error"}).named_steps["encode"]
    assert (strict.handle_unknown, strict.unknown_value) == ("error", None)


def test_unknown_types_are_refused() -> None:
    with pytest.raises(ValueError, match="crystal_ball"):
        build(spec(model_type="crystal_ball"), numeric=["a"], categorical=[])
    with pytest.raises(ValueError, match="sorcery"):
        build(spec(steps=(Step(type="sorcery", name="s"),)), numeric=["a"], categorical=[])

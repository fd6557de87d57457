"""Steps as choices score as in a GridSearchCV over a Pipeline whose steps are set by the grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ParameterGrid
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, QuantileTransformer, StandardScaler

from services.core.grid import grid_point, grid_size, parse_grid_list
from services.core.model_catalog import MODEL_TYPES
from services.core.model_run import searchable_parameters
from services.core.objective import EvaluationSpec, Step
from services.core.parameter_schema import ParameterSchema
from services.core.space import SearchSpace
from services.core.step_choices import choosable, with_step_choices
from services.core.violations import Violations
from tests.integration.worker.datasets import built_in, from_frame, mixed_frame
from tests.integration.worker.oracle import SEED, evaluate, prepared

_STEPS = (
    Step(type="standard_scaler", name="scaler", parameters={"with_mean": False}),
    Step(type="pca", name="reduce", parameters={"n_components": 5}),
)
_OURS: list[dict[str, Any]] = [
    {"C": [0.1, 1.0], "scaler": ["standard_scaler", "min_max_scaler", "passthrough"]},
    {
        "reduce": ["passthrough", "quantile_transformer"],
        "scaler": ["min_max_scaler"],
        "scaler__feature_range": [[0.0, 1.0], [-1.0, 1.0]],
    },
]
_THEIRS: list[dict[str, Any]] = [
    {
        "model__C": [0.1, 1.0],
        "scaler": [StandardScaler(with_mean=False), MinMaxScaler(), "passthrough"],
    },
    {
        "reduce": ["passthrough", QuantileTransformer(random_state=SEED)],
        "scaler": [MinMaxScaler()],
        "scaler__feature_range": [(0.0, 1.0), (-1.0, 1.0)],
    },
]


def _space(grids: Sequence[dict[str, Any]], steps: Sequence[Step]) -> SearchSpace:
    model = MODEL_TYPES["logistic_regression"]
    schemas: list[dict[str, ParameterSchema]] = [
        searchable_parameters(model, steps, each) for each in grids
    ]
    found = Violations()
    space = parse_grid_list(grids, schemas, field="grids")
    whole = SearchSpace.of_alternatives(
        with_step_choices(each, choosable(model, steps), str, found) for each in space.parts
    )
    found.raise_if_any()
    return whole


def _spec(dataset_hash: str, steps: tuple[Step, ...]) -> EvaluationSpec:
    return EvaluationSpec(
        dataset_id="d",
        dataset_hash=dataset_hash,
        model_type="logistic_regression",
        steps=steps,
        cv_folds=3,
        metrics=("accuracy",),
        random_state=SEED,
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:n_quantiles")
def test_scores_and_order_are_those_of_a_pipeline_whose_steps_are_set_by_the_grid(
    tmp_path: Path,
) -> None:
    dataset = built_in("wine")
    pipeline = Pipeline(
        [
            ("scaler", StandardScaler(with_mean=False)),
            ("reduce", PCA(n_components=5, random_state=SEED)),
            ("model", LogisticRegression(random_state=SEED)),
        ]
    )
    oracle = GridSearchCV(
        pipeline, _THEIRS, cv=3, scoring="accuracy", refit=False, error_score="raise"
    ).fit(dataset.features, dataset.target)
    space = _space(_OURS, _STEPS)
    assert grid_size(space) == len(list(ParameterGrid(_THEIRS))) == 10
    evaluation = prepared(_spec(dataset.content_hash, _STEPS), dataset.materialise(tmp_path / "d"))
    for index in range(grid_size(space)):
        result = evaluate(evaluation, grid_point(space, index))
        assert result.failure is None
        expected = [oracle.cv_results_[f"split{n}_test_score"][index] for n in range(3)]
        assert list(result.metrics[0].scores) == expected


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_step_beside_text_columns_is_chosen_in_its_branch(tmp_path: Path) -> None:
    frame = mixed_frame()
    dataset = from_frame(frame, target="bought", task="classification")
    steps = (
        Step(type="impute", name="impute"),
        Step(type="standard_scaler", name="scaler"),
        Step(type="one_hot_encoder", name="encode"),
    )
    evaluation = prepared(_spec(dataset.content_hash, steps), dataset.materialise(tmp_path / "d"))
    fixed = (steps[0], Step(type="min_max_scaler", name="scaler"), steps[2])
    alone = prepared(_spec(dataset.content_hash, fixed), dataset.materialise(tmp_path / "e"))
    without = prepared(
        _spec(dataset.content_hash, (steps[0], steps[2])), dataset.materialise(tmp_path / "f")
    )
    for value, other in (("min_max_scaler", alone), ("passthrough", without)):
        chosen = evaluate(evaluation, {"C": 0.5, "scaler": value})
        assert chosen.failure is None, chosen.failure
        assert chosen.metrics == evaluate(other, {"C": 0.5}).metrics


def test_parameters_of_a_step_left_out_fail_the_trial_with_a_reason(tmp_path: Path) -> None:
    dataset = built_in("wine")
    evaluation = prepared(_spec(dataset.content_hash, _STEPS), dataset.materialise(tmp_path / "d"))
    result = evaluate(evaluation, {"scaler": "passthrough", "scaler__with_mean": True})
    assert result.failure is not None
    assert "scaler is passthrough, which takes no with_mean" in result.failure.message

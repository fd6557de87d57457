"""Split scores are scikit-learn's, bit for bit: GridSearchCV and cross_validate are the oracles."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from prometheus_client import REGISTRY
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC

from services.core.objective import ColumnKind, EvaluationSpec, Step
from services.worker.adapters.evaluation.pool import ChildPool
from services.worker.ports import Evaluation, Preparation
from tests.integration.worker.datasets import built_in, from_frame, mixed_frame
from tests.integration.worker.oracle import (
    SEED,
    Case,
    assert_scores_are_those_of_grid_search_cv,
    evaluate,
    ignore_split,
    prepared,
)

SCALE = Step(type="standard_scaler", name="scale")
ENCODE = Step(type="one_hot_encoder", name="encode")

CASES = {
    "svm_digits": Case(
        dataset="digits",
        model_type="svm_classifier",
        estimator=SVC(random_state=SEED),
        grid={"C": [0.1, 10.0], "gamma": [0.001, "scale"]},
        cv_folds=3,
    ),
    "random_forest_breast_cancer": Case(
        dataset="breast_cancer",
        model_type="random_forest_classifier",
        estimator=RandomForestClassifier(random_state=SEED),
        grid={"n_estimators": [3, 6], "max_depth": [3, None], "max_features": ["sqrt", 0.5]},
        cv_folds=3,
    ),
    "ridge_diabetes": Case(
        dataset="diabetes",
        model_type="ridge",
        estimator=Ridge(random_state=SEED),
        grid={"alpha": [0.01, 0.1, 1.0, 10.0], "fit_intercept": [True, False]},
        metrics=("r2", "neg_mean_squared_error"),
        cv_folds=4,
    ),
    "k_neighbors_wine": Case(
        dataset="wine",
        model_type="k_neighbors_classifier",
        estimator=KNeighborsClassifier(),
        grid={"n_neighbors": [1, 5, 15], "weights": ["uniform", "distance"]},
        metrics=("accuracy", "f1_macro", "roc_auc_ovr"),
        cv_folds=3,
    ),
    "gaussian_nb_iris": Case(
        dataset="iris",
        model_type="gaussian_nb",
        estimator=GaussianNB(),
        grid={"var_smoothing": [1e-9, 1e-3, 1e-1]},
        cv_folds=10,
    ),
    "hist_gradient_boosting_breast_cancer": Case(
        dataset="breast_cancer",
        model_type="hist_gradient_boosting_classifier",
        estimator=HistGradientBoostingClassifier(random_state=SEED),
        grid={"learning_rate": [0.05, 0.2], "max_iter": [10, 20]},
        metrics=("roc_auc", "accuracy"),
        cv_folds=3,
    ),
    "scaled_and_selected_svm": Case(
        dataset="breast_cancer",
        model_type="svm_classifier",
        estimator=Pipeline(
            [
                ("scale", StandardScaler()),
                ("select", SelectKBest()),
                ("model", SVC(random_state=SEED, kernel="rbf")),
            ]
        ),
        grid={"C": [0.5, 5.0], "select__k": [5, 10, "all"]},
        fixed={"kernel": "rbf"},
        steps=(SCALE, Step(type="select_k_best", name="select")),
        renamed={"C": "model__C"},
    ),
    "encoder_without_text_columns_is_left_out": Case(
        dataset="wine",
        model_type="logistic_regression",
        estimator=Pipeline(
            [("scale", StandardScaler()), ("model", LogisticRegression(random_state=SEED))]
        ),
        grid={"C": [0.1, 1.0]},
        steps=(ENCODE, SCALE),
        renamed={"C": "model__C"},
        cv_folds=3,
    ),
    "mixed_frame": Case(
        dataset="mixed",
        model_type="logistic_regression",
        estimator=Pipeline(
            [
                (
                    "columns",
                    ColumnTransformer(
                        [
                            (
                                "numeric",
                                Pipeline(
                                    [
                                        ("fill", SimpleImputer(strategy="median")),
                                        ("scale", StandardScaler()),
                                    ]
                                ),
                                ["age", "income", "member"],
                            ),
                            (
                                "categorical",
                                Pipeline(
                                    [
                                        (
                                            "encode",
                                            OneHotEncoder(
                                                handle_unknown="ignore", sparse_output=False
                                            ),
                                        )
                                    ]
                                ),
                                ["city"],
                            ),
                        ]
                    ),
                ),
                ("model", LogisticRegression(random_state=SEED)),
            ]
        ),
        grid={"C": [0.1, 1.0], "fill__strategy": ["mean", "median"]},
        steps=(
            Step(
                type="impute",
                name="fill",
                parameters={"strategy": "median"},
                columns=ColumnKind.NUMERIC,
            ),
            SCALE,
            ENCODE,
        ),
        metrics=("accuracy", "roc_auc"),
        renamed={"C": "model__C", "fill__strategy": "columns__numeric__fill__strategy"},
    ),
    "mixed_frame_with_steps_around": Case(
        dataset="mixed",
        model_type="random_forest_classifier",
        estimator=Pipeline(
            [
                ("fill", SimpleImputer(strategy="most_frequent").set_output(transform="pandas")),
                (
                    "columns",
                    ColumnTransformer(
                        [
                            ("numeric", "passthrough", ["age", "income", "member"]),
                            (
                                "categorical",
                                Pipeline([("encode", OrdinalEncoder())]),
                                ["city"],
                            ),
                        ]
                    ),
                ),
                ("model", RandomForestClassifier(n_estimators=10, random_state=SEED)),
            ]
        ),
        grid={"max_depth": [2, 5]},
        fixed={"n_estimators": 10},
        steps=(
            Step(
                type="impute",
                name="fill",
                parameters={"strategy": "most_frequent"},
                columns=ColumnKind.ALL,
            ),
            Step(type="ordinal_encoder", name="encode"),
        ),
        renamed={"max_depth": "model__max_depth"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_grid_scores_equal_grid_search_cv(name: str, tmp_path: Path) -> None:
    assert_scores_are_those_of_grid_search_cv(CASES[name], tmp_path)


@pytest.mark.filterwarnings("ignore:'penalty' was deprecated")
@pytest.mark.filterwarnings("ignore:Inconsistent values")
@pytest.mark.filterwarnings("ignore:Setting penalty=None")
def test_grids_of_penalties_score_as_grid_search_cv_does(tmp_path: Path) -> None:
    case = Case(
        dataset="iris",
        model_type="logistic_regression",
        estimator=LogisticRegression(random_state=SEED, solver="newton-cg", max_iter=1000),
        grid={"penalty": ["l2", None], "C": [0.1, 1.0]},
        fixed={"solver": "newton-cg", "max_iter": 1000},
        cv_folds=3,
    )
    assert_scores_are_those_of_grid_search_cv(case, tmp_path)


def test_children_give_the_same_scores_as_cross_validate(tmp_path: Path) -> None:
    dataset = built_in("digits")
    folder = dataset.materialise(tmp_path / "data")
    spec = CASES["svm_digits"].spec(dataset)
    metrics = ("accuracy", "f1_macro", "neg_log_loss")
    spec = EvaluationSpec(
        dataset_id=spec.dataset_id,
        dataset_hash=spec.dataset_hash,
        model_type="gaussian_nb",
        steps=(SCALE,),
        metrics=metrics,
        cv_folds=7,
    )
    scored_twice = replace(spec, return_train_scores=True)
    steps = {output: _steps(output) for output in ("fitted", "reused")}

    async def run() -> list[Evaluation]:
        async with ChildPool(1) as pool:
            return [
                await pool.evaluate(
                    Preparation(key=key, spec=each, dataset=folder),
                    {"var_smoothing": 0.01},
                    timeout_seconds=None,
                    on_split=ignore_split,
                )
                for key, each in (("one", spec), ("one", spec), ("two", scored_twice))
            ]

    first, second, third = asyncio.run(run())
    assert first.metrics == second.metrics
    assert [each.scores for each in first.metrics] == [each.scores for each in third.metrics]
    # The second trial found what the first one's steps had made.
    assert {output: _steps(output) - steps[output] for output in steps} == {
        "fitted": 7,
        "reused": 7,
    }
    expected = cross_validate(
        Pipeline([("scale", StandardScaler()), ("model", GaussianNB(var_smoothing=0.01))]),
        dataset.features,
        dataset.target,
        cv=7,
        scoring=list(metrics),
        return_train_score=True,
    )
    assert {each.metric: list(each.scores) for each in third.metrics} == {
        metric: list(expected[f"test_{metric}"]) for metric in metrics
    }
    assert {each.metric: list(each.train_scores) for each in third.metrics} == {
        metric: list(expected[f"train_{metric}"]) for metric in metrics
    }


def _steps(output: str) -> float:
    return (
        REGISTRY.get_sample_value("crescendo_worker_preprocessing_steps_total", {"output": output})
        or 0.0
    )


def test_numeric_columns_of_any_type_are_one_float_matrix(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "whole": random.integers(0, 100, 120),
            "flag": random.random(120) < 0.5,
            "real": random.normal(size=120),
        }
    )
    frame["target"] = (frame["whole"] + 30 * frame["flag"] > 60).astype(np.int64)
    dataset = from_frame(frame, target="target", task="classification")
    spec = EvaluationSpec(
        dataset_id="x",
        dataset_hash=dataset.content_hash,
        model_type="svm_classifier",
        steps=(Step(type="min_max_scaler", name="scale"),),
        metrics=("accuracy",),
        cv_folds=3,
    )
    result = evaluate(prepared(spec, dataset.materialise(tmp_path / "data")), {"C": 2.0})
    expected = cross_validate(
        Pipeline([("scale", MinMaxScaler()), ("model", SVC(C=2.0, random_state=42))]),
        frame.drop(columns=["target"]).to_numpy(float),
        frame["target"].to_numpy(),
        cv=3,
        scoring="accuracy",
    )
    assert list(result.metrics[0].scores) == list(expected["test_score"])


def test_text_labels_and_gaps_reach_models_that_take_them(tmp_path: Path) -> None:
    frame = mixed_frame().drop(columns=["city"])
    dataset = from_frame(frame, target="bought", task="classification")
    spec = EvaluationSpec(
        dataset_id="x",
        dataset_hash=dataset.content_hash,
        model_type="hist_gradient_boosting_classifier",
        metrics=("accuracy", "roc_auc"),
        cv_folds=3,
    )
    result = evaluate(prepared(spec, dataset.materialise(tmp_path / "data")), {"max_iter": 10})
    features = frame.drop(columns=["bought"]).astype(float).to_numpy()
    expected = cross_validate(
        HistGradientBoostingClassifier(max_iter=10, random_state=42),
        features,
        frame["bought"].to_numpy(),
        cv=3,
        scoring=["accuracy", "roc_auc"],
    )
    assert [list(each.scores) for each in result.metrics] == [
        list(expected["test_accuracy"]),
        list(expected["test_roc_auc"]),
    ]

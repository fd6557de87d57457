"""Every preprocessing type gives a Pipeline's scores, wherever it stands among the columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    OneHotEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC

from services.core.objective import ColumnKind, EvaluationSpec, Step
from tests.integration.worker.datasets import from_frame, mixed_frame
from tests.integration.worker.oracle import (
    SEED,
    Case,
    assert_scores_are_those_of_grid_search_cv,
    evaluate,
    prepared,
)

NUMBERS = ["age", "income", "member"]
SCALE = Step(type="standard_scaler", name="scale")
FILL = Step(type="impute", name="fill")


def _logistic() -> LogisticRegression:
    return LogisticRegression(random_state=SEED)


CASES = {
    "pca": Case(
        dataset="breast_cancer",
        model_type="svm_classifier",
        estimator=Pipeline(
            [
                ("scale", StandardScaler()),
                ("pca", PCA(random_state=SEED, svd_solver="randomized")),
                ("model", SVC(random_state=SEED)),
            ]
        ),
        grid={"C": [0.5, 5.0], "pca__n_components": [2, 5], "pca__whiten": [False, True]},
        steps=(SCALE, Step(type="pca", name="pca", parameters={"svd_solver": "randomized"})),
        renamed={"C": "model__C"},
    ),
    "share_of_variance": Case(
        dataset="wine",
        model_type="logistic_regression",
        estimator=Pipeline(
            [
                ("scale", StandardScaler()),
                ("pca", PCA(random_state=SEED)),
                ("model", _logistic()),
            ]
        ),
        grid={"pca__n_components": [0.5, 0.9, "mle", None]},
        steps=(SCALE, Step(type="pca", name="pca")),
    ),
    "truncated_svd": Case(
        dataset="digits",
        model_type="gaussian_nb",
        estimator=Pipeline(
            [("svd", TruncatedSVD(random_state=SEED)), ("model", GaussianNB())],
        ),
        grid={"svd__n_components": [5, 15], "svd__algorithm": ["randomized", "arpack"]},
        steps=(Step(type="truncated_svd", name="svd"),),
        cv_folds=3,
    ),
    "polynomial_features": Case(
        dataset="diabetes",
        model_type="ridge",
        estimator=Pipeline(
            [
                ("expand", PolynomialFeatures()),
                ("drop", VarianceThreshold()),
                ("model", Ridge(random_state=SEED)),
            ]
        ),
        grid={
            "alpha": [0.1, 1.0],
            "expand__degree": [1, 2, (1, 2)],
            "drop__threshold": [0.0, 1e-5],
        },
        steps=(
            Step(type="polynomial_features", name="expand"),
            Step(type="variance_threshold", name="drop"),
        ),
        metrics=("r2", "neg_mean_squared_error"),
        renamed={"alpha": "model__alpha"},
    ),
    "power_and_quantile_transformer": Case(
        dataset="wine",
        model_type="logistic_regression",
        estimator=Pipeline(
            [
                ("power", PowerTransformer()),
                ("quantiles", QuantileTransformer(random_state=SEED, n_quantiles=50, subsample=80)),
                ("model", _logistic()),
            ]
        ),
        grid={
            "power__method": ["yeo-johnson", "box-cox"],
            "quantiles__output_distribution": ["uniform", "normal"],
        },
        steps=(
            Step(type="power_transformer", name="power"),
            Step(
                type="quantile_transformer",
                name="quantiles",
                parameters={"n_quantiles": 50, "subsample": 80},
            ),
        ),
    ),
    "reduced_columns_pass_the_steps_behind": Case(
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
                                    [("fill", SimpleImputer()), ("pca", PCA(random_state=SEED))]
                                ),
                                NUMBERS,
                            ),
                            ("categorical", "passthrough", ["city"]),
                        ],
                        verbose_feature_names_out=False,
                    ).set_output(transform="pandas"),
                ),
                ("again", SimpleImputer(strategy="most_frequent").set_output(transform="pandas")),
                (
                    "columns2",
                    ColumnTransformer(
                        [
                            (
                                "numeric",
                                Pipeline([("scale", StandardScaler())]),
                                ["pca0", "pca1"],
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
                ("model", _logistic()),
            ]
        ).set_params(columns__numeric__pca__n_components=2),
        grid={"C": [0.1, 1.0]},
        steps=(
            FILL,
            Step(type="pca", name="pca", parameters={"n_components": 2}),
            Step(
                type="impute",
                name="again",
                parameters={"strategy": "most_frequent"},
                columns=ColumnKind.ALL,
            ),
            SCALE,
            Step(type="one_hot_encoder", name="encode"),
        ),
        renamed={"C": "model__C"},
        metrics=("accuracy", "roc_auc"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_grid_scores_equal_grid_search_cv(name: str, tmp_path: Path) -> None:
    assert_scores_are_those_of_grid_search_cv(CASES[name], tmp_path)


def _target_encoded(folds: Any, target_type: str, model: Any) -> Pipeline:
    encoder = TargetEncoder(cv=folds, target_type=target_type, smooth=5.0)
    columns = ColumnTransformer(
        [
            (
                "numeric",
                Pipeline([("fill", SimpleImputer()), ("scale", StandardScaler())]),
                NUMBERS,
            ),
            ("categorical", Pipeline([("encode", encoder)]), ["city"]),
        ]
    )
    return Pipeline([("columns", columns), ("model", model)])


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_target_encoding_is_cross_fitted_with_the_seed_of_the_run(
    task: str, tmp_path: Path
) -> None:
    frame = mixed_frame()
    classifies = task == "classification"
    if not classifies:
        # Whole numbers, of which few repeat: classes to scikit-learn unless it is told.
        generator = np.random.default_rng(1)
        noise = generator.integers(0, 40, len(frame))
        frame["bought"] = ((frame["bought"] == "yes") * 30.0 + noise).astype(float)
    dataset = from_frame(frame, target="bought", task=task)
    metric = "accuracy" if classifies else "r2"
    spec = EvaluationSpec(
        dataset_id="x",
        dataset_hash=dataset.content_hash,
        model_type="logistic_regression" if classifies else "ridge",
        steps=(FILL, SCALE, Step(type="target_encoder", name="encode", parameters={"smooth": 5.0})),
        metrics=(metric,),
        cv_folds=3,
        random_state=SEED,
        # Rows that were fitted are encoded otherwise for the fit than for its scores.
        return_train_scores=True,
    )
    evaluation = prepared(spec, dataset.materialise(tmp_path / "data"))
    splitter = StratifiedKFold if classifies else KFold
    model = _logistic() if classifies else Ridge(random_state=SEED)
    kind = "binary" if classifies else "continuous"
    for n_splits in (5, 3):
        result = evaluate(evaluation, {"encode__cv": n_splits})
        folds = splitter(n_splits=n_splits, shuffle=True, random_state=SEED)
        expected = cross_validate(
            _target_encoded(folds, kind, model),
            dataset.features,
            dataset.target,
            cv=3,
            scoring=metric,
            error_score="raise",
            return_train_score=True,
        )
        assert result.failure is None
        assert list(result.metrics[0].scores) == list(expected["test_score"])
        assert list(result.metrics[0].train_scores) == list(expected["train_score"])

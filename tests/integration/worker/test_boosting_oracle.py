"""XGBoost's and LightGBM's scores are those of their own scikit-learn interfaces."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import cross_validate
from sklearn.preprocessing import LabelEncoder

from services.core.objective import EvaluationSpec
from services.core.trial import FailureKind
from services.worker.adapters.evaluation import catalogue
from services.worker.adapters.evaluation.failures import failure_of
from services.worker.adapters.evaluation.pool import ChildPool
from services.worker.ports import Evaluation, Preparation
from tests.integration.worker.datasets import StoredDataset, built_in, from_frame, mixed_frame
from tests.integration.worker.oracle import SEED, evaluate, prepared

# LightGBM's interface names columns in its fit and misses the names of arrays in its predictions.
pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")

FEW: dict[str, Any] = {"n_estimators": 10, "learning_rate": 0.2, "reg_lambda": 2.0}
SAMPLED: dict[str, Any] = {"subsample": 0.7, "colsample_bytree": 0.6}


def _spec(dataset: StoredDataset, model_type: str, *metrics: str) -> EvaluationSpec:
    return EvaluationSpec(
        dataset_id="x",
        dataset_hash=dataset.content_hash,
        model_type=model_type,
        metrics=metrics,
        cv_folds=3,
        random_state=SEED,
    )


def _assert_same_scores(
    dataset: StoredDataset,
    folder: Path,
    model_type: str,
    parameters: dict[str, Any],
    estimator: Any,
    *metrics: str,
) -> None:
    evaluation = prepared(_spec(dataset, model_type, *metrics), dataset.materialise(folder))
    result = evaluate(evaluation, parameters)
    assert result.failure is None
    expected = cross_validate(
        estimator,
        dataset.features,
        dataset.target,
        cv=3,
        scoring=list(metrics),
        error_score="raise",
    )
    for scores in result.metrics:
        theirs = expected[f"test_{scores.metric}"]
        assert list(scores.scores) == pytest.approx(list(theirs), rel=0, abs=1e-12)


@pytest.mark.parametrize("name", ["wine", "breast_cancer"])
def test_xgboost_classifies_as_by_its_own_interface(name: str, tmp_path: Path) -> None:
    parameters: dict[str, Any] = {**FEW, **SAMPLED, "max_depth": 4, "min_child_weight": 2.0}
    own = xgboost.XGBClassifier(random_state=SEED, n_jobs=1, **parameters)
    metrics = ("accuracy", "roc_auc_ovr" if name == "wine" else "roc_auc", "neg_log_loss")
    _assert_same_scores(
        built_in(name), tmp_path / "data", "xgboost_classifier", parameters, own, *metrics
    )


def test_xgboost_regresses_as_by_its_own_interface(tmp_path: Path) -> None:
    parameters: dict[str, Any] = {**FEW, **SAMPLED, "gamma": 0.1, "objective": "reg:absoluteerror"}
    own = xgboost.XGBRegressor(random_state=SEED, n_jobs=1, **parameters)
    metrics = ("r2", "neg_mean_absolute_error")
    _assert_same_scores(
        built_in("diabetes"), tmp_path / "data", "xgboost_regressor", parameters, own, *metrics
    )


def test_lightgbm_classifies_as_by_its_own_interface(tmp_path: Path) -> None:
    parameters: dict[str, Any] = {**FEW, **SAMPLED, "subsample_freq": 1, "num_leaves": 7}
    own = lightgbm.LGBMClassifier(random_state=SEED, n_jobs=1, verbosity=-1, **parameters)
    metrics = ("accuracy", "f1_macro", "neg_log_loss")
    _assert_same_scores(
        built_in("wine"), tmp_path / "data", "lightgbm_classifier", parameters, own, *metrics
    )


def test_lightgbm_regresses_as_by_its_own_interface(tmp_path: Path) -> None:
    parameters: dict[str, Any] = {**FEW, **SAMPLED, "subsample_freq": 1, "objective": "huber"}
    own = lightgbm.LGBMRegressor(random_state=SEED, n_jobs=1, verbosity=-1, **parameters)
    metrics = ("r2", "neg_mean_squared_error")
    _assert_same_scores(
        built_in("diabetes"), tmp_path / "data", "lightgbm_regressor", parameters, own, *metrics
    )


def test_children_boost_with_the_same_scores(tmp_path: Path) -> None:
    dataset = built_in("wine")
    folder = dataset.materialise(tmp_path / "data")
    specs = {
        library: _spec(dataset, f"{library}_classifier", "accuracy", "neg_log_loss")
        for library in ("xgboost", "lightgbm")
    }

    async def run() -> list[Evaluation]:
        async with ChildPool(1) as pool:
            return [
                await pool.evaluate(
                    Preparation(key=library, spec=spec, dataset=folder),
                    FEW,
                    timeout_seconds=None,
                    on_split=lambda _split, _score: None,
                )
                for library, spec in specs.items()
                for _ in range(2)
            ]

    evaluations = asyncio.run(run())
    for spec, first, second in zip(
        specs.values(), evaluations[::2], evaluations[1::2], strict=True
    ):
        here = evaluate(prepared(spec, folder), FEW)
        assert first.failure is None
        assert first.metrics == second.metrics == here.metrics


class _Encoded(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped here
    """What a person writes around XGBoost for labels that are not 0, 1, …."""

    def __init__(self, classifier: Any) -> None:
        self.classifier = classifier

    def fit(self, X: Any, y: Any) -> _Encoded:  # noqa: N803 (scikit-learn's name)
        self.encoder_ = LabelEncoder().fit(y)
        self.classes_ = self.encoder_.classes_
        self.classifier_ = clone(self.classifier).fit(X, self.encoder_.transform(y))
        return self

    def predict(self, X: Any) -> Any:  # noqa: N803 (as above)
        return self.encoder_.inverse_transform(self.classifier_.predict(X))

    def predict_proba(self, X: Any) -> Any:  # noqa: N803 (as above)
        return self.classifier_.predict_proba(X)


@pytest.mark.parametrize("labels", ["text", "numbers", "three"])
def test_xgboost_takes_labels_of_any_kind_and_scores_them_as_they_are(
    labels: str, tmp_path: Path
) -> None:
    frame = mixed_frame().drop(columns=["city"])
    said_yes = frame["bought"] == "yes"
    if labels == "numbers":
        frame["bought"] = np.where(said_yes, 1, -1)
    if labels == "three":
        frame["bought"] = np.where(said_yes, np.where(frame["member"], "now", "soon"), "never")
    dataset = from_frame(frame, target="bought", task="classification")
    dataset = StoredDataset(
        content=dataset.content,
        features=frame.drop(columns=["bought"]).astype(float).to_numpy(),
        target=dataset.target,
    )
    metrics = ["accuracy", "f1_weighted", "neg_log_loss"]
    metrics.append("roc_auc_ovr" if labels == "three" else "roc_auc")
    if labels == "numbers":
        metrics.append("f1")
    own = _Encoded(xgboost.XGBClassifier(random_state=SEED, n_jobs=1, **FEW))
    _assert_same_scores(dataset, tmp_path / "data", "xgboost_classifier", dict(FEW), own, *metrics)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_a_worker_without_the_library_says_what_to_install(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = built_in("wine")
    adapter = "services.worker.adapters.evaluation.labelled_xgboost"
    for name in (library, adapter):
        monkeypatch.setitem(sys.modules, name, None)
        catalogue._load.cache_clear()
    monkeypatch.delitem(sys.modules, adapter)
    try:
        with pytest.raises(ImportError) as raised:
            prepared(
                _spec(dataset, f"{library}_classifier", "accuracy"),
                dataset.materialise(tmp_path / "data"),
            )
    finally:
        catalogue._load.cache_clear()
    failure = failure_of(raised.value)
    assert failure.kind is FailureKind.EXCEPTION
    assert f"{library}_classifier needs {library}, which this worker has not" in failure.message
    assert "crescendo-tuning[services,boosting]" in failure.message


def test_a_library_that_cannot_be_loaded_is_no_trouble_of_the_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(path: str) -> Any:
        raise OSError("libgomp.so.1: cannot open shared object file")

    monkeypatch.setattr(catalogue, "_load", load)
    dataset = built_in("wine")
    with pytest.raises(ImportError, match=r"cannot load: libgomp\.so\.1"):
        prepared(
            _spec(dataset, "lightgbm_classifier", "accuracy"),
            dataset.materialise(tmp_path / "data"),
        )

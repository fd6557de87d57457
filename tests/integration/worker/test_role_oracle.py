"""Columns with a role, from the uploaded file to the scores: scikit-learn by hand is the oracle."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics, model_selection
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer, make_scorer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from services.core.dataset_roles import NO_ROLES, DatasetRoles
from services.core.objective import EvaluationSpec, Step
from services.core.splitting import Splitter
from services.core.violations import Violations
from services.store.adapters.dataset_files.files import ArrowDatasetFiles
from services.store.ports.results import DatasetFormat
from services.worker.adapters.dataset_folder import write_folder
from services.worker.adapters.evaluation.evaluator import PreparedEvaluation
from services.worker.adapters.evaluation.folds import FoldStore
from services.worker.ports import Evaluation

SEED = 11
FEATURES = ["age", "income", "score"]
ROLES = DatasetRoles(group_column="site", time_column="day", weight_column="w", fold_column="part")
SCALE = Step(type="standard_scaler", name="scale")


def visits(rows: int = 240) -> pd.DataFrame:
    """Patients of eight sites, in no order of time."""
    random = np.random.default_rng(5)
    values = random.normal(size=(rows, 3))
    site = random.integers(0, 8, rows)
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(random.permutation(rows), unit="D")
    logit = values[:, 0] - 0.5 * values[:, 1] + 0.3 * (site - 4)
    frame = pd.DataFrame(values, columns=FEATURES)
    return frame.assign(
        site=[f"site {each}" for each in site],
        day=days.strftime("%Y-%m-%d"),
        w=np.round(random.uniform(0, 3, rows), 3),
        part=random.integers(-1, 4, rows),
        ill=np.where(random.random(rows) < 1 / (1 + np.exp(-logit)), "sick", "healthy"),
    )


def folder_of(
    frame: pd.DataFrame, tmp_path: Path, roles: DatasetRoles, target: str = "ill"
) -> Path:
    """Uploads a frame as CSV and makes the folder a worker has of it."""
    upload = tmp_path / "upload.csv"
    frame.to_csv(upload, index=False)
    folder = tmp_path / "data"
    folder.mkdir()
    parsed = ArrowDatasetFiles().parsed(
        upload,
        found=Violations(),
        file_format=DatasetFormat.CSV,
        target_column=target,
        task=None,
        roles=roles,
        max_bytes=1 << 30,
    )
    with parsed as canonical:
        shutil.copy(canonical.path, folder / "download")
    write_folder(folder / "download", folder)
    return folder


def evaluated(folder: Path, **changes: Any) -> Evaluation:
    spec = EvaluationSpec(
        dataset_id="d",
        dataset_hash="h",
        model_type="logistic_regression",
        metrics=("accuracy",),
        random_state=SEED,
    )
    spec = replace(spec, **changes)
    parameters = {"C": 0.7} if spec.model_type == "logistic_regression" else {}
    prepared = PreparedEvaluation(spec, folder, folds=FoldStore())
    result = prepared.evaluate(parameters, lambda _split, _score: None)
    assert result.failure is None
    return result


def scores_of(result: Evaluation) -> dict[str, list[float]]:
    return {each.metric: list(each.scores) for each in result.metrics}


SPLITTERS: dict[str, tuple[Splitter, Any]] = {
    "group_k_fold": (Splitter(type="group_k_fold", n_splits=4), model_selection.GroupKFold(4)),
    "shuffled_group_k_fold": (
        Splitter(type="group_k_fold", n_splits=4, shuffle=True),
        model_selection.GroupKFold(4, shuffle=True, random_state=SEED),
    ),
    "stratified_group_k_fold": (
        Splitter(type="stratified_group_k_fold", n_splits=3),
        model_selection.StratifiedGroupKFold(3),
    ),
    "shuffled_stratified_group_k_fold": (
        Splitter(type="stratified_group_k_fold", n_splits=3, shuffle=True),
        model_selection.StratifiedGroupKFold(3, shuffle=True, random_state=SEED),
    ),
    "leave_one_group_out": (
        Splitter(type="leave_one_group_out"),
        model_selection.LeaveOneGroupOut(),
    ),
    "predefined_split": (Splitter(type="predefined_split"), None),
}


@pytest.mark.parametrize("name", SPLITTERS)
def test_splits_by_columns_are_those_of_scikit_learn(name: str, tmp_path: Path) -> None:
    splitter, oracle = SPLITTERS[name]
    frame = visits()
    if oracle is None:
        oracle = model_selection.PredefinedSplit(frame["part"])
    names = ["accuracy", "roc_auc", "neg_log_loss"]
    result = evaluated(
        folder_of(frame, tmp_path, replace(ROLES, weight_column="")),
        splitter=splitter,
        metrics=tuple(names),
    )
    # Weights were no role here, so that they are a feature.
    expected = model_selection.cross_validate(
        LogisticRegression(C=0.7, random_state=SEED),
        frame[[*FEATURES, "w"]].to_numpy(),
        frame["ill"].to_numpy(),
        groups=frame["site"].to_numpy() if "group" in name else None,
        cv=oracle,
        scoring=names,
    )
    assert scores_of(result) == {each: list(expected[f"test_{each}"]) for each in names}


def test_time_ordered_splits_train_on_the_past_only(tmp_path: Path) -> None:
    frame = visits()[[*FEATURES, "day", "ill"]]
    result = evaluated(
        folder_of(frame, tmp_path, DatasetRoles(time_column="day")),
        splitter=Splitter(type="time_series_split", n_splits=5),
        metrics=("accuracy", "neg_log_loss"),
    )
    ordered = frame.sort_values("day", kind="stable")
    expected = model_selection.cross_validate(
        LogisticRegression(C=0.7, random_state=SEED),
        ordered[FEATURES].to_numpy(),
        ordered["ill"].to_numpy(),
        cv=model_selection.TimeSeriesSplit(5),
        scoring=["accuracy", "neg_log_loss"],
    )
    assert scores_of(result) == {
        each: list(expected[f"test_{each}"]) for each in ("accuracy", "neg_log_loss")
    }


@pytest.mark.parametrize("weighted_scoring", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
def test_weights_go_to_the_final_estimator_and_to_scorers_when_asked(
    tmp_path: Path, *, scaled: bool, weighted_scoring: bool
) -> None:
    frame = visits()
    names = ("accuracy", "f1_macro", "roc_auc", "neg_log_loss")
    result = evaluated(
        folder_of(frame, tmp_path, ROLES),
        steps=(SCALE,) if scaled else (),
        metrics=names,
        cv_folds=4,
        weighted_scoring=weighted_scoring,
        return_train_scores=True,
    )
    model: Any = LogisticRegression(C=0.7, random_state=SEED)
    if scaled:
        model = Pipeline([("scale", StandardScaler()), ("model", model)])
    features, target = frame[FEATURES].to_numpy(), frame["ill"].to_numpy()
    weights = frame["w"].to_numpy()
    expected: dict[str, list[float]] = {name: [] for name in names}
    trained: dict[str, list[float]] = {name: [] for name in names}
    for train, test in model_selection.StratifiedKFold(4).split(features, target):
        key = "model__sample_weight" if scaled else "sample_weight"
        fitted = clone(model).fit(features[train], target[train], **{key: weights[train]})
        for found, rows in ((expected, test), (trained, train)):
            given = {"sample_weight": weights[rows]} if weighted_scoring else {}
            for name in names:
                found[name].append(get_scorer(name)(fitted, features[rows], target[rows], **given))
    assert scores_of(result) == expected
    assert {each.metric: list(each.train_scores) for each in result.metrics} == trained


def test_a_model_that_takes_no_weights_is_fitted_without(tmp_path: Path) -> None:
    frame = visits()
    result = evaluated(folder_of(frame, tmp_path, ROLES), model_type="k_neighbors_classifier")
    expected = model_selection.cross_val_score(
        KNeighborsClassifier(), frame[FEATURES].to_numpy(), frame["ill"].to_numpy(), cv=5
    )
    assert scores_of(result) == {"accuracy": list(expected)}


BINARY: dict[str, tuple[Any, dict[str, Any]]] = {
    "f1": (metrics.f1_score, {}),
    "precision": (metrics.precision_score, {}),
    "recall": (metrics.recall_score, {}),
    "jaccard": (metrics.jaccard_score, {}),
    "average_precision": (
        metrics.average_precision_score,
        {"response_method": ("decision_function", "predict_proba")},
    ),
    "neg_brier_score": (
        metrics.brier_score_loss,
        {"response_method": "predict_proba", "greater_is_better": False},
    ),
    "d2_brier_score": (metrics.d2_brier_score, {"response_method": "predict_proba"}),
}


@pytest.mark.parametrize("positive", ["sick", "healthy"])
def test_metrics_of_two_classes_score_the_positive_label(positive: str, tmp_path: Path) -> None:
    frame = visits()[[*FEATURES, "ill"]]
    result = evaluated(
        folder_of(frame, tmp_path, DatasetRoles(positive_label=positive)),
        metrics=(*BINARY, "roc_auc"),
    )
    scoring = {
        name: make_scorer(function, pos_label=positive, **arguments)
        for name, (function, arguments) in BINARY.items()
    }
    expected = model_selection.cross_validate(
        LogisticRegression(C=0.7, random_state=SEED),
        frame[FEATURES].to_numpy(),
        frame["ill"].to_numpy(),
        cv=5,
        scoring=scoring | {"roc_auc": "roc_auc"},
    )
    assert scores_of(result) == {
        name: list(expected[f"test_{name}"]) for name in (*BINARY, "roc_auc")
    }


@pytest.mark.parametrize("labels", [("0", "1"), ("false", "true")])
def test_text_that_says_one_or_true_is_positive(labels: tuple[str, str], tmp_path: Path) -> None:
    frame = visits()[[*FEATURES, "ill"]]
    codes = (frame["ill"] == "sick").astype(int).to_numpy()
    folder = tmp_path / "data"
    folder.mkdir()
    # Parquet keeps text that a CSV would read as numbers.
    upload = tmp_path / "upload.parquet"
    frame.assign(ill=np.array(labels)[codes]).to_parquet(upload)
    parsed = ArrowDatasetFiles().parsed(
        upload,
        found=Violations(),
        file_format=DatasetFormat.PARQUET,
        target_column="ill",
        task=None,
        roles=NO_ROLES,
        max_bytes=1 << 30,
    )
    with parsed as canonical:
        assert canonical.summary.classes[1][0] == labels[1]
        shutil.copy(canonical.path, folder / "download")
    write_folder(folder / "download", folder)
    expected = model_selection.cross_validate(
        LogisticRegression(C=0.7, random_state=SEED),
        frame[FEATURES].to_numpy(),
        codes,
        cv=5,
        scoring=list(BINARY),
    )
    assert scores_of(evaluated(folder, metrics=tuple(BINARY))) == {
        name: list(expected[f"test_{name}"]) for name in BINARY
    }


@pytest.mark.parametrize("name", BINARY)
def test_the_scorers_made_here_are_those_scikit_learn_names(name: str, tmp_path: Path) -> None:
    frame = visits()[[*FEATURES, "ill"]]
    frame["ill"] = (frame["ill"] == "sick").astype(
        int
    ) + 1  # 1 and 2: not what is positive by default
    result = evaluated(
        folder_of(frame, tmp_path, DatasetRoles(positive_label="2")), metrics=(name,)
    )
    expected = model_selection.cross_val_score(
        LogisticRegression(C=0.7, random_state=SEED),
        frame[FEATURES].to_numpy(),
        frame["ill"].to_numpy() - 1,
        cv=5,
        scoring=name,
    )
    assert scores_of(result) == {name: list(expected)}


def test_weights_reach_boosted_trees(tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost")
    frame = visits()
    result = evaluated(
        folder_of(frame, tmp_path, ROLES),
        model_type="xgboost_classifier",
        fixed_parameters={"n_estimators": 8},
        metrics=("neg_log_loss",),
        cv_folds=3,
    )
    features, weights = frame[FEATURES].to_numpy(), frame["w"].to_numpy()
    codes = (frame["ill"] == "sick").astype(int).to_numpy()
    weighted: list[float] = []
    plain: list[float] = []
    for train, test in model_selection.StratifiedKFold(3).split(features, codes):
        for scores, given in ((weighted, {"sample_weight": weights[train]}), (plain, {})):
            model = xgboost.XGBClassifier(
                n_estimators=8, random_state=SEED, n_jobs=1, tree_method="hist"
            ).fit(features[train], codes[train], **given)
            scores.append(get_scorer("neg_log_loss")(model, features[test], codes[test]))
    assert scores_of(result)["neg_log_loss"] == pytest.approx(weighted, abs=1e-12)
    assert scores_of(result)["neg_log_loss"] != pytest.approx(plain, abs=1e-3)

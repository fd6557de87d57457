"""Boosting that stops early is the library's own fit with the rows set aside given to it by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler

from services.core.inner_splits import last_split, plain_split, stratified_split
from services.core.objective import EvaluationSpec, Step
from services.core.splitting import Splitter
from services.core.trial import FailureKind
from tests.integration.worker.datasets import built_in, from_frame
from tests.integration.worker.oracle import SEED, evaluate, prepared

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")

STOPS: dict[str, Any] = {"n_estimators": 60, "learning_rate": 0.3, "early_stopping_rounds": 3}


def test_xgboost_stops_by_rows_of_the_training_part(tmp_path: Path) -> None:
    dataset = built_in("breast_cancer")
    spec = EvaluationSpec(
        dataset_id="x",
        dataset_hash=dataset.content_hash,
        model_type="xgboost_classifier",
        fixed_parameters={"early_stopping_fraction": 0.2, "max_depth": 3},
        steps=(Step(type="standard_scaler", name="scale"),),
        metrics=("accuracy",),
        cv_folds=3,
        random_state=SEED,
    )
    result = evaluate(prepared(spec, dataset.materialise(tmp_path / "data")), STOPS)
    assert result.failure is None
    scores, rounds = [], []
    for train, test in StratifiedKFold(3).split(dataset.features, dataset.target):
        features, target = dataset.features[train], dataset.target[train]
        fitted, aside = stratified_split(target, 0.2, seed=SEED)
        scaler = StandardScaler().fit(features[fitted])
        own = xgboost.XGBClassifier(random_state=SEED, n_jobs=1, max_depth=3, **STOPS).fit(
            scaler.transform(features[fitted]),
            target[fitted],
            eval_set=[(scaler.transform(features[aside]), target[aside])],
            verbose=False,
        )
        answers = own.predict(scaler.transform(dataset.features[test]))
        scores.append(accuracy_score(dataset.target[test], answers))
        rounds.append(own.best_iteration + 1)
    assert list(result.metrics[0].scores) == scores
    assert [each.best_rounds for each in result.splits] == rounds
    assert max(rounds) < 60
    assert not any(each.optimistic for each in result.splits)


@pytest.mark.parametrize("ordered", [False, True])
def test_lightgbm_stops_by_rows_of_the_training_part(ordered: bool, tmp_path: Path) -> None:
    dataset = built_in("diabetes")
    spec = EvaluationSpec(
        dataset_id="x",
        dataset_hash=dataset.content_hash,
        model_type="lightgbm_regressor",
        metrics=("r2",),
        cv_folds=3,
        random_state=SEED,
    )
    splits = list(KFold(3).split(dataset.features))
    if ordered:
        splitter = Splitter(type="time_series_split", n_splits=2, test_rows=100)
        spec = replace(spec, splitter=splitter, cv_folds=2)
        splits = [(np.arange(242), np.arange(242, 342)), (np.arange(342), np.arange(342, 442))]
    result = evaluate(prepared(spec, dataset.materialise(tmp_path / "data")), STOPS)
    assert result.failure is None
    scores, rounds = [], []
    own_parameters = {name: each for name, each in STOPS.items() if "stopping" not in name}
    for train, test in splits:
        features, target = dataset.features[train], dataset.target[train]
        fitted, aside = (
            last_split(len(train), 0.1) if ordered else plain_split(len(train), 0.1, seed=SEED)
        )
        own = lightgbm.LGBMRegressor(
            random_state=SEED,
            n_jobs=1,
            verbosity=-1,
            deterministic=True,
            force_row_wise=True,
            **own_parameters,
        ).fit(
            features[fitted],
            target[fitted],
            eval_X=(features[aside],),
            eval_y=(target[aside],),
            callbacks=[lightgbm.early_stopping(3, verbose=False)],
        )
        scores.append(r2_score(dataset.target[test], own.predict(dataset.features[test])))
        rounds.append(own.best_iteration_)
    assert list(result.metrics[0].scores) == pytest.approx(scores, rel=0, abs=1e-12)
    assert [each.best_rounds for each in result.splits] == rounds


def test_stopping_by_the_test_fold_is_marked(tmp_path: Path) -> None:
    dataset = built_in("wine")
    spec = EvaluationSpec(
        dataset_id="x",
        dataset_hash=dataset.content_hash,
        model_type="xgboost_classifier",
        fixed_parameters={"early_stopping_set": "test_fold"},
        metrics=("accuracy",),
        cv_folds=2,
        random_state=SEED,
    )
    evaluation = prepared(spec, dataset.materialise(tmp_path / "data"))
    result = evaluate(evaluation, STOPS)
    assert result.failure is None
    assert all(each.optimistic and each.best_rounds for each in result.splits)
    train, test = next(StratifiedKFold(2).split(dataset.features, dataset.target))
    own = xgboost.XGBClassifier(random_state=SEED, n_jobs=1, **STOPS).fit(
        dataset.features[train],
        dataset.target[train],
        eval_set=[(dataset.features[test], dataset.target[test])],
        verbose=False,
    )
    assert result.splits[0].best_rounds == own.best_iteration + 1
    # Without early stopping the same evaluation makes all rounds.
    whole = evaluate(evaluation, {"n_estimators": 5})
    assert [each.best_rounds for each in whole.splits] == [None, None]
    assert not any(each.optimistic for each in whole.splits)
    refused = evaluate(evaluation, {**STOPS, "booster": "dart"})
    assert refused.failure is not None
    assert refused.failure.kind is FailureKind.INVALID_PARAMETERS


@pytest.mark.parametrize("model_type", ["xgboost_classifier", "lightgbm_classifier"])
def test_classes_of_any_kind_stop_where_numbers_from_0_do(model_type: str, tmp_path: Path) -> None:
    dataset = built_in("wine")
    found = {}
    for name, labels in {
        "from 0": np.array([0, 1, 2]),
        "gaps": np.array([-5, 3, 10]),
        "text": np.array(["barbera", "barolo", "grignolino"]),
    }.items():
        frame = pd.DataFrame(dataset.features, columns=[f"x{n}" for n in range(13)])
        stored = from_frame(
            frame.assign(cultivar=labels[dataset.target]), target="cultivar", task="classification"
        )
        spec = EvaluationSpec(
            dataset_id="x",
            dataset_hash=stored.content_hash,
            model_type=model_type,
            metrics=("accuracy", "neg_log_loss"),
            cv_folds=3,
        )
        result = evaluate(prepared(spec, stored.materialise(tmp_path / name)), STOPS)
        assert result.failure is None
        found[name] = (result.metrics, [each.best_rounds for each in result.splits])
    assert found["gaps"] == found["from 0"]
    assert found["text"] == found["from 0"]


@pytest.mark.parametrize("model_type", ["xgboost_classifier", "lightgbm_classifier"])
def test_rows_of_a_class_that_is_not_fitted_cannot_say_when_to_stop(
    model_type: str, tmp_path: Path
) -> None:
    # In order of class: each third tests the class that the others lack.
    dataset = built_in("iris")
    spec = EvaluationSpec(
        dataset_id="x",
        dataset_hash=dataset.content_hash,
        model_type=model_type,
        fixed_parameters={"early_stopping_set": "test_fold"},
        splitter=Splitter(type="k_fold", n_splits=3),
        metrics=("accuracy",),
        cv_folds=3,
    )
    result = evaluate(prepared(spec, dataset.materialise(tmp_path / "data")), STOPS)
    assert result.failure is not None
    assert result.failure.kind is FailureKind.EXCEPTION
    if model_type == "xgboost_classifier":
        assert result.failure.message == (
            "ValueError: rows that say when to stop have classes that no fitted row has: 0"
        )

"""Scores on every splitter are those of cross_validate with scikit-learn's own splitter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sklearn import model_selection
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_validate
from sklearn.naive_bayes import GaussianNB

from services.core.intervals import interval_method
from services.core.objective import EvaluationSpec
from services.core.splitting import SPLITTERS, Splitter
from services.worker.adapters.evaluation.evaluator import PreparedEvaluation
from services.worker.adapters.evaluation.folds import FoldStore
from tests.integration.worker.datasets import StoredDataset, built_in
from tests.integration.worker.test_role_oracle import SPLITTERS as ROLE_CASES

SEED = 7


@dataclass(frozen=True, kw_only=True)
class Task:
    """A dataset with a model for it and metrics of several kinds."""

    dataset: str
    model_type: str
    estimator: Any
    parameters: Mapping[str, Any]
    metrics: tuple[str, ...]


CLASSES = Task(
    dataset="iris",
    model_type="logistic_regression",
    estimator=LogisticRegression(C=0.5, random_state=SEED, max_iter=500),
    parameters={"C": 0.5, "max_iter": 500},
    metrics=("accuracy", "f1_macro", "neg_log_loss"),
)
TWO_CLASSES = Task(
    dataset="breast_cancer",
    model_type="gaussian_nb",
    estimator=GaussianNB(var_smoothing=1e-6),
    parameters={"var_smoothing": 1e-6},
    metrics=("roc_auc", "f1", "average_precision"),
)
NUMBERS = Task(
    dataset="diabetes",
    model_type="ridge",
    estimator=Ridge(alpha=0.5, random_state=SEED),
    parameters={"alpha": 0.5},
    metrics=("r2", "neg_mean_absolute_error", "neg_root_mean_squared_error"),
)

CASES: dict[str, tuple[Splitter, Any]] = {
    "k_fold": (Splitter(type="k_fold", n_splits=3), model_selection.KFold(3)),
    "shuffled_k_fold": (
        Splitter(type="k_fold", n_splits=4, shuffle=True),
        model_selection.KFold(4, shuffle=True, random_state=SEED),
    ),
    "shuffled_stratified_k_fold": (
        Splitter(type="stratified_k_fold", n_splits=5, shuffle=True),
        model_selection.StratifiedKFold(5, shuffle=True, random_state=SEED),
    ),
    "repeated_k_fold": (
        Splitter(type="repeated_k_fold", n_splits=3, n_repeats=2),
        model_selection.RepeatedKFold(n_splits=3, n_repeats=2, random_state=SEED),
    ),
    "repeated_stratified_k_fold": (
        Splitter(type="repeated_stratified_k_fold", n_splits=2),
        model_selection.RepeatedStratifiedKFold(n_splits=2, n_repeats=10, random_state=SEED),
    ),
    "shuffle_split": (
        Splitter(type="shuffle_split", n_splits=6, test_size=0.3),
        model_selection.ShuffleSplit(6, test_size=0.3, random_state=SEED),
    ),
    "shuffle_split_by_default": (
        Splitter(type="shuffle_split", n_splits=2),
        model_selection.ShuffleSplit(2, random_state=SEED),
    ),
    "stratified_shuffle_split": (
        Splitter(type="stratified_shuffle_split", n_splits=4, test_size=0.25),
        model_selection.StratifiedShuffleSplit(4, test_size=0.25, random_state=SEED),
    ),
    "time_series_split": (
        Splitter(type="time_series_split", n_splits=4, gap=3, max_train_rows=150, test_rows=40),
        model_selection.TimeSeriesSplit(4, gap=3, max_train_size=150, test_size=40),
    ),
}


def test_every_splitter_has_an_oracle() -> None:
    by_columns = {name for name, kind in SPLITTERS.items() if kind.grouped or not kind.counted}
    assert {splitter.type for splitter, _ in CASES.values()} == set(SPLITTERS) - by_columns
    assert by_columns <= set(ROLE_CASES)


def _pairs() -> list[Any]:
    """Every splitter on every dataset it can split."""
    return [
        pytest.param(task, *case, id=f"{name}-{task.dataset}")
        for name, case in CASES.items()
        for task in (CLASSES, TWO_CLASSES, NUMBERS)
        if not (SPLITTERS[case[0].type].stratified and task is NUMBERS)
        # Iris is sorted by class: parts in its order leave classes out of training.
        and not (task is CLASSES and name in ("k_fold", "time_series_split"))
    ]


@pytest.mark.parametrize(("task", "splitter", "oracle"), _pairs())
def test_scores_are_those_of_scikit_learns_splitter(
    task: Task, splitter: Splitter, oracle: Any, tmp_path: Path
) -> None:
    dataset: StoredDataset = built_in(task.dataset)
    spec = EvaluationSpec(
        dataset_id="d",
        dataset_hash=dataset.content_hash,
        model_type=task.model_type,
        metrics=task.metrics,
        cv_folds=oracle.get_n_splits(),
        splitter=splitter,
        random_state=SEED,
        return_train_scores=True,
    )
    evaluation = PreparedEvaluation(spec, dataset.materialise(tmp_path / "data"), folds=FoldStore())
    result = evaluation.evaluate(task.parameters, lambda _split, _score: None)
    expected = cross_validate(
        task.estimator,
        dataset.features,
        dataset.target,
        cv=oracle,
        scoring=list(task.metrics),
        error_score="raise",
        return_train_score=True,
    )
    assert result.failure is None
    assert {each.metric: list(each.scores) for each in result.metrics} == {
        name: list(expected[f"test_{name}"]) for name in task.metrics
    }
    assert {each.metric: list(each.train_scores) for each in result.metrics} == {
        name: list(expected[f"train_{name}"]) for name in task.metrics
    }
    parts = [
        (len(train), len(test)) for train, test in oracle.split(dataset.features, dataset.target)
    ]
    assert [(each.train_rows, each.test_rows) for each in result.splits] == parts
    assert all(each.fit_seconds > 0 and each.score_seconds > 0 for each in result.splits)
    assert result.interval_method is interval_method(splitter)

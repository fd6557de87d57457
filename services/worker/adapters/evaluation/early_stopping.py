"""Fitting XGBoost and LightGBM until rows set aside say that more rounds do no good."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing

from services.core.early_stopping import EarlyStopping
from services.core.inner_splits import (
    InnerSplit,
    grouped_split,
    last_split,
    plain_split,
    stratified_split,
)
from services.core.objective import EvaluationSpec
from services.core.splitting import SPLITTERS
from services.worker.adapters.dataset_folder import TabularData
from services.worker.adapters.evaluation.estimators import Estimator
from services.worker.adapters.evaluation.folds import Fold


class EarlyStoppingFits:
    """The fits of one candidate that stops early.

    Args:
        weighted: whether the rows' weights are used, on both sides.
    """

    def __init__(self, inner: InnerSplits, stopping: EarlyStopping, *, weighted: bool) -> None:
        self._inner = inner
        self._stopping = stopping
        self._weighted = weighted

    @property
    def optimistic(self) -> bool:
        """Whether the rows that say when to stop are those the score is measured on."""
        return self._stopping.on_test_fold

    def fit(self, estimator: Estimator, fold: Fold, rows: npt.NDArray[np.intp]) -> int:
        """Fits an estimator on a fold.

        Args:
            rows: the places of its training rows in the dataset, shape (n_rows,).

        Returns: the best round, from 1; the fitted estimator predicts with so many.

        Raises: ValueError: no rows can be set aside, or the estimator does not take the data.
        """
        if self._stopping.on_test_fold:
            aside = _test_part(fold)
        else:
            fold, aside = parted(
                fold, self._inner.of(fold.train_target, rows, self._stopping.fraction)
            )
        return fit_stopping_early(
            estimator,
            fold,
            aside,
            self._stopping.rounds,
            weighted=self._weighted and fold.train_weights is not None,
        )


class InnerSplits:
    """Says which rows of a training part are set aside: it is split as the evaluation splits.

    Splitters that keep groups together, or times in order, are followed: else the rows set aside
    would tell what the test part would not.
    """

    def __init__(self, spec: EvaluationSpec, data: TabularData, *, classifier: bool) -> None:
        kind = None if spec.splitter is None else SPLITTERS[spec.splitter.type]
        self._seed = spec.random_state
        self._ordered = kind is not None and kind.ordered
        self._groups = data.roles.get("group") if kind is not None and kind.grouped else None
        self._classifier = classifier

    def of(
        self, target: npt.NDArray[Any], rows: npt.NDArray[np.intp], fraction: float
    ) -> InnerSplit:
        """Splits a training part.

        Args:
            target: of the training part, shape (n_rows,).
            rows: the places of its rows in the dataset, in the same order, shape (n_rows,).

        Returns: places within the training part.

        Raises: ValueError: it has too few rows, or groups, to set any aside.
        """
        if self._groups is not None:
            return grouped_split(self._groups[rows], fraction, seed=self._seed)
        if self._ordered:
            return last_split(len(target), fraction)
        if self._classifier:
            return stratified_split(target, fraction, seed=self._seed)
        return plain_split(len(target), fraction, seed=self._seed)


def parted(fold: Fold, split: InnerSplit) -> tuple[Fold, Fold]:
    """Parts a fold's training rows. Returns: the fold with fewer, and one with those set aside."""
    return _with_rows(fold, split[0]), _with_rows(fold, split[1])


def fit_stopping_early(
    estimator: Estimator, fold: Fold, aside: Fold, rounds: int, *, weighted: bool
) -> int:
    """Fits an estimator, a Pipeline's steps before it on the same rows, until it stops.

    What the library looks at is its own loss for its objective: log loss for classes, squared error
    for numbers unless the model's `objective` is another.

    Args:
        fold: what is fitted.
        aside: rows that say when to stop, as its training part; the steps are applied to them only.
        rounds: rounds without an improvement after which it stops, ≥ 1.
        weighted: whether the rows' weights are used, on both sides.

    Returns: the best round, from 1; the fitted estimator predicts with so many.
    """
    model = estimator
    train, seen = fold.train_features, aside.train_features
    if isinstance(estimator, Pipeline):
        steps, model = estimator[:-1], estimator.steps[-1][1]
        train = steps.fit_transform(train, fold.train_target)
        seen = steps.transform(seen)
    arguments: dict[str, Any] = {}
    if weighted:
        arguments["sample_weight"] = fold.train_weights
    if type(model).__module__.startswith("lightgbm."):
        import lightgbm  # noqa: PLC0415 (an extra: workers without it have no such models)

        if weighted:
            arguments["eval_sample_weight"] = [aside.train_weights]
        stop = lightgbm.early_stopping(rounds, verbose=False)
        with warnings.catch_warnings():
            # Of `eval_X` and `eval_y`, which are to come in its place, LightGBM 4.7 leaves classes as they
            # are, where it numbers those it fits: it would stop by other classes.
            warnings.filterwarnings("ignore", message="The argument 'eval_set' is deprecated")
            model.fit(
                train,
                fold.train_target,
                eval_set=[(seen, aside.train_target)],
                callbacks=[stop],
                **arguments,
            )
        return int(model.best_iteration_)
    if weighted:
        arguments["sample_weight_eval_set"] = [aside.train_weights]
    model.set_params(early_stopping_rounds=rounds)
    seen_set = [(seen, aside.train_target)]
    model.fit(train, fold.train_target, eval_set=seen_set, verbose=False, **arguments)
    return int(model.best_iteration) + 1


def _test_part(fold: Fold) -> Fold:
    return replace(
        fold,
        train_features=fold.test_features,
        train_target=fold.test_target,
        train_weights=fold.test_weights,
        key=None,
    )


def _with_rows(fold: Fold, rows: npt.NDArray[np.intp]) -> Fold:
    return replace(
        fold,
        train_features=_safe_indexing(fold.train_features, rows),
        train_target=fold.train_target[rows],
        train_weights=None if fold.train_weights is None else fold.train_weights[rows],
        # What steps make of fewer rows is not what they make of the fold.
        key=None,
    )

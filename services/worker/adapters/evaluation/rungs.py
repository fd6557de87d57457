"""Fits on growing parts of every training part, each scored on all of its test part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import _safe_indexing

from services.core.objective import EvaluationSpec
from services.core.splitting import SPLITTERS
from services.core.statistics import mean_score
from services.core.training_sizes import latest_order, plain_order, rung_rows, stratified_order
from services.worker.adapters.evaluation.folds import Fold, Folds

Rows = npt.NDArray[np.intp]
# Given a split's data and the places of its training rows in the dataset, gives the objective.
FitAndScore = Callable[[Fold, Rows], float]


class TrainingRungs:
    """The nested training parts of an evaluation's splits.

    A rung's rows are in their own order, so that all of them are the training part as it is. Of a time
    series the latest rows are taken, of classes a stratified sample, of numbers any.
    """

    def __init__(self, spec: EvaluationSpec, folds: Folds, *, classifier: bool) -> None:
        self._folds = folds
        self._seed = spec.random_state
        self._ordered = spec.splitter is not None and SPLITTERS[spec.splitter.type].ordered
        self._classifier = classifier
        self._orders: dict[int, Rows] = {}

    def value(self, fraction: float, fit_and_score: FitAndScore) -> float | None:
        """Gives the mean objective over the splits on a share of their training rows.

        Args:
            fraction: in (0, 1).

        Returns: None where a fit fails on so few rows, which says nothing of one on all of them.

        Raises: MemoryError: one on more rows would fail the more.
        """
        scores = []
        for split in range(len(self._folds)):
            fold, rows = self.fold(split, fraction)
            try:
                scores.append(fit_and_score(fold, rows))
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001 (what estimators raise of too few rows is theirs)
                return None
        value = mean_score(scores)
        return value if np.isfinite(value) else None

    def fold(self, split: int, fraction: float) -> tuple[Fold, Rows]:
        """Gives a split with a share of its training rows, and their places in the dataset."""
        fold: Fold = self._folds[split]
        order = self._order(split, fold.train_target)
        places = np.sort(order[: rung_rows(len(order), fraction)])
        part = replace(
            fold,
            train_features=_safe_indexing(fold.train_features, places),
            train_target=fold.train_target[places],
            train_weights=None if fold.train_weights is None else fold.train_weights[places],
        )
        return part, self._folds.train_rows(split)[places]

    def _order(self, split: int, target: npt.NDArray[Any]) -> Rows:
        if split not in self._orders:
            if self._ordered:
                order = latest_order(len(target))
            elif self._classifier:
                order = stratified_order(target, seed=self._seed)
            else:
                order = plain_order(len(target), seed=self._seed)
            self._orders[split] = order
        return self._orders[split]

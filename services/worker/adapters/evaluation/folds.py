"""The folds of a dataset, split once and kept for all trials that use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing

from services.worker.adapters.dataset_folder import Features, TabularData, read_folder

# Folds of small data are kept as arrays; of large data only their indices, and rows are taken anew
# for each fit, as GridSearchCV does.
_KEPT_FOLDS_BYTES = 16 * 1024 * 1024
_KEPT_FOLDS = 8
_KEPT_DATASETS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fold:
    """One split's data, read-only where it is an array."""

    train_features: Features
    train_target: npt.NDArray[Any]
    test_features: Features
    test_target: npt.NDArray[Any]


class Folds(Sequence[Fold]):
    """The splits of `check_cv(n_folds, y, classifier=…)`, in order."""

    def __init__(self, data: TabularData, *, n_folds: int, classifier: bool) -> None:
        self.data = data
        splitter = check_cv(n_folds, data.target, classifier=classifier)
        self._indices = list(splitter.split(data.features, data.target))
        self._kept: list[Fold] | None = None
        size = getattr(data.features, "nbytes", None)
        if size is not None and size * n_folds <= _KEPT_FOLDS_BYTES:
            self._kept = [self._take(index) for index in range(len(self._indices))]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: Any) -> Any:
        """Gives one split's data."""
        return self._take(index) if self._kept is None else self._kept[index]

    def _take(self, index: int) -> Fold:
        train, test = self._indices[index]
        features, target = self.data.features, self.data.target
        return Fold(
            train_features=_read_only(_safe_indexing(features, train)),
            train_target=_read_only(target[train]),
            test_features=_read_only(_safe_indexing(features, test)),
            test_target=_read_only(target[test]),
        )


class FoldStore:
    """Keeps the datasets and folds used last."""

    def __init__(self) -> None:
        self._datasets: dict[Path, TabularData] = {}
        self._folds: dict[tuple[Path, int, bool], Folds] = {}

    def dataset(self, folder: Path) -> TabularData:
        """Opens a dataset; raises OSError or ValueError when its folder is gone or damaged."""
        if folder not in self._datasets:
            _make_room(self._datasets, _KEPT_DATASETS)
            self._datasets[folder] = read_folder(folder)
        return self._datasets[folder]

    def folds(self, folder: Path, *, n_folds: int, classifier: bool) -> Folds:
        """Splits a dataset; raises ValueError when it cannot be split so."""
        key = (folder, n_folds, classifier)
        if key not in self._folds:
            _make_room(self._folds, _KEPT_FOLDS)
            self._folds[key] = Folds(self.dataset(folder), n_folds=n_folds, classifier=classifier)
        return self._folds[key]


def _make_room(kept: dict[Any, Any], limit: int) -> None:
    while len(kept) >= limit:
        del kept[next(iter(kept))]


def _read_only(values: Any) -> Any:
    if isinstance(values, np.ndarray):
        values.flags.writeable = False
    return values

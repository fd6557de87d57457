"""The folds of a dataset, split once and kept for all trials that use them."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import _safe_indexing

from services.core.objective import EvaluationSpec
from services.core.splitting import Splitter
from services.worker.adapters.dataset_folder import Features, TabularData, read_folder
from services.worker.adapters.evaluation.shared_folds import shared_folds
from services.worker.adapters.evaluation.splitters import splits_of

# Folds of small data are kept as arrays, those of large data in files that all children map; of the largest
# only the indices are kept, and rows are taken anew for each fit, as GridSearchCV does.
_KEPT_FOLDS_BYTES = 16 * 1024 * 1024
_SHARED_FOLDS_BYTES = 1024 * 1024 * 1024
# Files that memory cannot hold beside everything else would be read again for every fit.
_SHARE_OF_MEMORY = 1 / 4
_KEPT_FOLDS = 8
_KEPT_DATASETS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fold:
    """One split's data, read-only where it is an array; without weights where the dataset has none.

    `key` is equal for folds of the same rows of the same data, and for no others; None for rows whose
    preprocessing is not worth keeping.
    """

    train_features: Features
    train_target: npt.NDArray[Any]
    test_features: Features
    test_target: npt.NDArray[Any]
    train_weights: npt.NDArray[Any] | None
    test_weights: npt.NDArray[Any] | None
    key: Hashable | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _FoldsKey:
    folder: Path
    n_folds: int
    splitter: Splitter | None
    seed: int
    classifier: bool


class Folds(Sequence[Fold]):
    """The splits of an evaluation, in order; `splitters.splits_of` says which they are.

    Args:
        folder: the dataset's, where folds may be shared by way of files; None shares none.
        key: tells the splits of one dataset from all others.
    """

    def __init__(
        self,
        data: TabularData,
        spec: EvaluationSpec,
        *,
        classifier: bool,
        key: Hashable,
        folder: Path | None = None,
    ) -> None:
        self.data = data
        self._key = key
        self._indices = splits_of(spec, data, classifier=classifier)
        self._kept: list[Fold] | None = None
        size = _bytes(data.features) * len(self._indices)
        if 0 < size <= _KEPT_FOLDS_BYTES:
            self._kept = [self._take(index) for index in range(len(self._indices))]
        elif folder is not None and 0 < size <= min(_SHARED_FOLDS_BYTES, _memory_to_share()):
            # A full disk, a folder nobody may write to: each fit takes its own rows then.
            with suppress(OSError, ValueError):
                parts = shared_folds(folder, data.features, self._indices)
                self._kept = [self._fold(index, *each) for index, each in enumerate(parts)]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: Any) -> Any:
        """Gives one split's data."""
        return self._take(index) if self._kept is None else self._kept[index]

    def train_rows(self, index: int) -> npt.NDArray[np.intp]:
        """Gives the places of a split's training rows in the dataset, shape (n_rows,)."""
        return self._indices[index][0]

    def _take(self, index: int) -> Fold:
        train, test = self._indices[index]
        features = self.data.features
        return self._fold(
            index,
            _read_only(_safe_indexing(features, train)),
            _read_only(_safe_indexing(features, test)),
        )

    def _fold(self, index: int, train_features: Features, test_features: Features) -> Fold:
        train, test = self._indices[index]
        target, weights = self.data.target, self.data.roles.get("weight")
        return Fold(
            train_features=train_features,
            train_target=_read_only(target[train]),
            test_features=test_features,
            test_target=_read_only(target[test]),
            train_weights=None if weights is None else _read_only(weights[train]),
            test_weights=None if weights is None else _read_only(weights[test]),
            key=(self._key, index),
        )


class FoldStore:
    """Keeps the datasets and folds used last."""

    def __init__(self) -> None:
        self._datasets: dict[Path, TabularData] = {}
        self._folds: dict[_FoldsKey, Folds] = {}

    def dataset(self, folder: Path) -> TabularData:
        """Opens a dataset; raises OSError or ValueError when its folder is gone or damaged."""
        if folder not in self._datasets:
            _make_room(self._datasets, _KEPT_DATASETS)
            self._datasets[folder] = read_folder(folder)
        return self._datasets[folder]

    def folds(self, folder: Path, spec: EvaluationSpec, *, classifier: bool) -> Folds:
        """Splits a dataset; raises ValueError when it cannot be split so."""
        key = _FoldsKey(
            folder=folder,
            n_folds=spec.cv_folds,
            splitter=spec.splitter,
            # Folds that are not drawn are the same for every seed.
            seed=0 if spec.splitter is None else spec.random_state,
            classifier=classifier,
        )
        if key not in self._folds:
            _make_room(self._folds, _KEPT_FOLDS)
            self._folds[key] = Folds(
                self.dataset(folder), spec, classifier=classifier, key=key, folder=folder
            )
        return self._folds[key]


def _make_room(kept: dict[Any, Any], limit: int) -> None:
    while len(kept) >= limit:
        del kept[next(iter(kept))]


def _bytes(features: Features) -> int:
    """Counts an array's bytes; 0 for frames, whose columns are objects of each process."""
    return features.nbytes if isinstance(features, np.ndarray) else 0


def _memory_to_share() -> int:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(memory * _SHARE_OF_MEMORY)


def _read_only(values: Any) -> Any:
    if isinstance(values, np.ndarray):
        values.flags.writeable = False
    return values

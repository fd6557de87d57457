"""Preprocessed folds, kept for the trials that will ask for them again, within a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.worker.adapters.dataset_folder import Features


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Transformed:
    """What preprocessing steps made of a fold; shape (rows of the part, n_features) each.

    Attributes:
        train: from `fit_transform`.
        test: from `transform`.
    """

    train: Features
    test: Features


@dataclass(slots=True, kw_only=True)
class PrefixUse:
    """Counts steps, once for each fold: those whose output was there already, and those fitted."""

    reused: int = 0
    fitted: int = 0


class PrefixCache:
    """Keeps what was used last, all of it read-only.

    What the current trial or the one before it used stays whatever else comes: where the folds of a
    run do not all fit, those that do are of use, and not each driven out by the next one just before
    its turn.

    Args:
        max_bytes: bound on the arrays kept; 0 keeps none.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._trial = 0
        self._use = PrefixUse()
        self.held_bytes = 0

    @property
    def is_on(self) -> bool:
        """Whether it keeps anything."""
        return self._max_bytes > 0

    def begin_trial(self) -> None:
        """Says that what is asked for from now on is another trial's."""
        self._trial += 1

    def count(self, *, reused: int, fitted: int) -> None:
        """Notes what came of a fold's steps."""
        self._use.reused += reused
        self._use.fitted += fitted

    def take_use(self) -> PrefixUse:
        """Gives what was noted since it was last asked for."""
        use, self._use = self._use, PrefixUse()
        return use

    def get(self, key: Hashable) -> Transformed | None:
        """Looks a prefix's output up; None when it is not there."""
        entry = self._kept.get(key)
        if entry is None:
            return None
        entry.trial = self._trial
        self._kept.move_to_end(key)
        return entry.lent()

    def put(self, key: Hashable, made: Transformed) -> Transformed:
        """Keeps a prefix's output where there is room for it.

        Returns: what to go on with: read-only where it was kept, `made` itself where it was not.
        """
        size = _size(made.train), _size(made.test)
        if None in size or not self._make_room(sum(each or 0 for each in size)):
            return made
        for each in (made.train, made.test):
            if isinstance(each, np.ndarray):
                each.flags.writeable = False
        entry = _Entry(transformed=made, size=sum(each or 0 for each in size), trial=self._trial)
        self._kept[key] = entry
        self.held_bytes += entry.size
        return entry.lent()

    def clear(self) -> None:
        """Gives all memory back."""
        self._kept.clear()
        self.held_bytes = 0

    def _make_room(self, size: int) -> bool:
        free = self._max_bytes - self.held_bytes
        leaving: list[Hashable] = []
        for key, entry in self._kept.items():
            if free >= size or entry.trial >= self._trial - 1:
                break
            free += entry.size
            leaving.append(key)
        if free < size:
            return False
        for key in leaving:
            self.held_bytes -= self._kept.pop(key).size
        return True


@dataclass(slots=True, kw_only=True, eq=False)
class _Entry:
    transformed: Transformed
    size: int
    trial: int

    def lent(self) -> Transformed:
        return Transformed(train=_lent(self.transformed.train), test=_lent(self.transformed.test))


def _lent(features: Features) -> Features:
    # pandas copies a shallow copy's columns when they are written to.
    return features.copy(deep=False) if _is_frame(features) else features


def _is_frame(features: Features) -> bool:
    # By name: importing pandas would slow the start of every child, and few need it.
    kind = type(features)
    return kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "pandas"


def _size(features: Features) -> int | None:
    """Counts the bytes that keeping an output holds on to; None for what cannot be made read-only."""
    if _is_frame(features):
        return int(features.memory_usage(deep=True).sum())
    if type(features) is not np.ndarray:
        return None
    whole: Any = features
    while isinstance(whole.base, np.ndarray):
        # Of a view, such as the first columns of a decomposition, all of the array below stays.
        whole = whole.base
    return int(whole.nbytes)

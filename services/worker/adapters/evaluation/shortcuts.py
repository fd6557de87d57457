"""Sparing scikit-learn questions whose answer is known: about plain arrays, and about its own classes.

Each fit and each metric asks a dozen times whether an array is some library's data frame, which took a third
of the time of fits of a millisecond. Nothing else changes: what is no plain array is asked about as ever.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import validation

# By name: the types that come with this one part hide from type checkers what scikit-learn has besides.
_ARRAYS = import_module("sklearn.externals.array_api_compat.common._aliases")

# Exactly these: a subclass may well be somebody's series. Text stands for data that is not to be checked.
_PLAIN = frozenset({np.ndarray, str})


@contextmanager
def known_answers() -> Iterator[None]:
    """Has scikit-learn take the shortcuts in the whole process while the context lasts.

    A scikit-learn that asks in another place goes on asking there.
    """
    replaced: list[tuple[Any, str, Any]] = []

    def replace(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        own = vars(owner).get(name)
        if own is not None:
            replaced.append((owner, name, own))
            setattr(owner, name, make(own))

    replace(validation, "_nw_into_df_or_series", _unless_plain(False))
    replace(validation, "_get_feature_names", _unless_plain(None))
    replace(BaseEstimator, "_get_param_names", _once_per_class)
    # What arguments `numpy.unique` takes.
    replace(_ARRAYS, "_unique_kwargs", functools.cache)
    try:
        yield
    finally:
        for owner, name, own in reversed(replaced):
            setattr(owner, name, own)


def _unless_plain(answer: Any) -> Callable[[Any], Any]:
    def make(ask: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def ask_unless_plain(values: Any) -> Any:
            return answer if type(values) in _PLAIN else ask(values)

        return ask_unless_plain

    return make


def _once_per_class(method: Any) -> Any:
    """Keeps the names of a class's parameters: they are read from the signature of its constructor."""
    kept: dict[type, tuple[str, ...]] = {}

    def names(cls: type) -> list[str]:
        if cls not in kept:
            kept[cls] = tuple(method.__func__(cls))
        return list(kept[cls])

    return classmethod(names)

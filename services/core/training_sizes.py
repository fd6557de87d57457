"""Rungs of training-set size: growing, nested parts of a training part, the last of them all of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from services.core.inner_splits import Rows

MAX_RUNGS = 20


def training_fractions(smallest: float, growth: int) -> tuple[float, ...]:
    """Gives the share of the training rows at each rung: smallest · growth^k, and 1 at the end.

    Args:
        smallest: share of the first rung, in (0, 1).
        growth: how many times larger each rung is than the one before, ≥ 2; the last may be less.

    Returns: ascending, 2 to MAX_RUNGS of them.

    Raises: ValueError: a figure is out of its range, or there would be too many rungs.
    """
    if not 0.0 < smallest < 1.0 or growth < 2:
        raise ValueError(
            f"no rungs from {smallest:g} by {growth}; need a share in (0, 1) and 2 or more"
        )
    fractions: list[float] = []
    share = smallest
    # A share that is all but one row of a million is all of it.
    while share < 1.0 - 1e-6:
        fractions.append(share)
        share *= growth
        if len(fractions) >= MAX_RUNGS:
            raise ValueError(
                f"{smallest:g} grows to 1 by {growth} in more than {MAX_RUNGS} rungs; begin with more"
            )
    return (*fractions, 1.0)


def rung_rows(n_rows: int, fraction: float) -> int:
    """Counts the rows of a rung: that share, rounded up, at least one and at most all."""
    # 0.1 · 30 is 3.0000000000000004 in floats, and is 3.
    return min(n_rows, max(1, math.ceil(n_rows * fraction - 1e-9)))


def stratified_order(labels: npt.NDArray[Any], *, seed: int) -> Rows:
    """Orders rows so that the first ones of any number are a stratified sample, nested in larger ones.

    The j-th row of a class with n rows, in a drawn order and from 0, stands at j ÷ n: every class has
    one of its rows among the first as many rows as there are classes, and its share, within one row
    for each class, among the first of any larger number.

    Args:
        labels: shape (n_rows,).

    Returns: every row once, shape (n_rows,).
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    _, classes, counts = np.unique(labels[order], return_inverse=True, return_counts=True)
    by_class = np.argsort(classes, kind="stable")
    places = np.empty(len(labels), dtype=np.float64)
    places[by_class] = np.concatenate([np.arange(count) / count for count in counts])
    return np.asarray(order[np.argsort(places, kind="stable")], dtype=np.intp)


def plain_order(n_rows: int, *, seed: int) -> Rows:
    """Orders rows at random, for targets that are numbers. Returns: every row once, shape (n_rows,)."""
    return np.asarray(np.random.default_rng(seed).permutation(n_rows), dtype=np.intp)


def latest_order(n_rows: int) -> Rows:
    """Orders rows of a time series: a rung holds the latest ones, next to those that are tested."""
    return np.arange(n_rows, dtype=np.intp)[::-1]

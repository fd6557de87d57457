"""Setting rows of a training part aside: the rest is fitted, the rows set aside say when to stop."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Rows: TypeAlias = npt.NDArray[np.intp]
InnerSplit: TypeAlias = tuple[Rows, Rows]


def stratified_split(labels: npt.NDArray[Any], fraction: float, *, seed: int) -> InnerSplit:
    """Sets the same share of every class aside, rounded, and never the last row of a class.

    Args:
        labels: shape (n_rows,), at least two rows of one class.
        fraction: share to set aside, in (0, 1).

    Returns: rows to fit and rows set aside, both ascending and not empty; every class is fitted.

    Raises: ValueError: no class has two rows.
    """
    order = _rng(seed).permutation(len(labels))
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    aside = np.minimum(np.rint(counts * fraction), counts - 1).astype(np.intp)
    if not aside.sum():
        largest = int(np.argmax(counts))
        if counts[largest] < 2:
            raise ValueError("no class has two rows, so that none can be set aside")
        aside[largest] = 1
    # The place of each row among those of its class, in the drawn order.
    drawn = classes[order]
    places = np.empty(len(labels), dtype=np.intp)
    by_class = np.argsort(drawn, kind="stable")
    places[order[by_class]] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return _parts(places < aside[classes])


def plain_split(n_rows: int, fraction: float, *, seed: int) -> InnerSplit:
    """Sets a share of the rows aside, drawn at random, rounded, at least one and never all.

    Raises: ValueError: there are fewer than two rows.
    """
    chosen = np.zeros(n_rows, dtype=np.bool_)
    chosen[_rng(seed).permutation(n_rows)[: _share(n_rows, fraction)]] = True
    return _parts(chosen)


def grouped_split(groups: npt.NDArray[Any], fraction: float, *, seed: int) -> InnerSplit:
    """Sets a share of the groups aside, drawn at random: no group has rows on both sides.

    Args:
        groups: one of each row, shape (n_rows,).

    Raises: ValueError: there are fewer than two groups.
    """
    names, members = np.unique(groups, return_inverse=True)
    chosen = np.zeros(len(names), dtype=np.bool_)
    chosen[_rng(seed).permutation(len(names))[: _share(len(names), fraction)]] = True
    return _parts(chosen[members])


def last_split(n_rows: int, fraction: float) -> InnerSplit:
    """Sets the last rows aside, for rows in the order of time.

    Raises: ValueError: there are fewer than two rows.
    """
    return _parts(np.arange(n_rows) >= n_rows - _share(n_rows, fraction))


def _share(count: int, fraction: float) -> int:
    if count < 2:
        raise ValueError(f"{count} cannot be parted; need two or more to set some aside")
    return min(max(1, round(count * fraction)), count - 1)


def _parts(aside: npt.NDArray[np.bool_]) -> InnerSplit:
    return np.flatnonzero(~aside), np.flatnonzero(aside)


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)

"""Densities over rows of numbers: mixtures of a product around each row and a wide one that knows nothing.

The densities of the tree-structured Parzen estimator (Bergstra et al. 2011) in their multivariate form
(Falkner et al. 2018), with the weights and widths of Watanabe (2023, arXiv 2304.11127), section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, ndtri

from services.coordinator.adapters.searchers.axes import Axis, Category, Lattice
from services.core.encoding import FloatArray

# What the wide product weighs; the latest rows weigh 1.
_PRIOR_WEIGHT = 1.0
# So many of the latest rows weigh the same, those before them ever less.
_EQUAL_WEIGHTS = 25
# Of an axis: the least width of a normal distribution around one of very many rows.
_LEAST_WIDTH = 0.01
_LOG_ROOT_2_PI = 0.5 * np.log(2.0 * np.pi)


class Frame:
    """What the columns of rows are.

    Numbers have bounds and a scale. Those of a lattice fill cells, from half a place below theirs to half a
    place above it, and so does the lattice.

    Args:
        axes: one for each column.
    """

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.n_columns = len(axes)
        self.categories = [
            (column, axis.size) for column, axis in enumerate(axes) if isinstance(axis, Category)
        ]
        cells = [(column, axis) for column, axis in enumerate(axes) if isinstance(axis, Lattice)]
        units = [
            column for column, axis in enumerate(axes) if not isinstance(axis, Category | Lattice)
        ]
        self.n_cells = len(cells)
        # Cells come first among the numbers.
        self.numbers = np.array([*(column for column, _ in cells), *units], dtype=np.intp)
        self.lowest = np.array([*(float(axis.low) for _, axis in cells), *(0.0 for _ in units)])
        self.highest = np.array([*(float(axis.high) for _, axis in cells), *(1.0 for _ in units)])
        self._log = np.array(
            [*(axis.log for _, axis in cells), *(False for _ in units)], dtype=bool
        )
        self._half = np.array([*(0.5 for _ in cells), *(0.0 for _ in units)])
        self.low = self.scaled(self.lowest - self._half)
        self.high = self.scaled(self.highest + self._half)

    def scaled(self, numbers: FloatArray) -> FloatArray:
        """Gives numbers, shape (…, numbers), on their axes' scales."""
        return np.where(self._log, np.log(np.where(self._log, numbers, 1.0)), numbers)

    def unscaled(self, numbers: FloatArray) -> FloatArray:
        """Gives the numbers that scaled ones stand for: a lattice's place, a number between the bounds."""
        found = np.where(self._log, np.exp(np.where(self._log, numbers, 0.0)), numbers)
        found[:, : self.n_cells] = np.round(found[:, : self.n_cells])
        return np.clip(found, self.lowest, self.highest)

    def edges(self, cell: int, places: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gives where some cells of a lattice begin and end, on its axis's scale."""
        begin, end = places - self._half[cell], places + self._half[cell]
        return (np.log(begin), np.log(end)) if self._log[cell] else (begin, end)


class Mixture:
    """A density over rows: of each row a normal distribution per number and odds per category, multiplied.

    Args:
        rows: float64, shape (n, columns), the oldest first; n may be 0.
    """

    def __init__(self, frame: Frame, rows: FloatArray) -> None:
        self._frame = frame
        count = len(rows)
        weights = np.append(_weights(count), _PRIOR_WEIGHT)
        self._weights = weights / weights.sum()
        numbers = frame.scaled(rows[:, frame.numbers])
        self._centres = np.vstack([numbers, 0.5 * (frame.low + frame.high)])
        self._widths = np.vstack([_widths(numbers, frame.low, frame.high), frame.high - frame.low])
        self._below = ndtr((frame.low - self._centres) / self._widths)
        self._within = ndtr((frame.high - self._centres) / self._widths) - self._below
        self._odds = [_odds(rows[:, column], size) for column, size in frame.categories]
        # All that does not depend on where the density is asked for.
        cells = frame.n_cells
        self._constant = (
            np.log(self._weights)
            - np.log(self._within).sum(axis=1)
            - (np.log(self._widths[:, cells:]) + _LOG_ROOT_2_PI).sum(axis=1)
        )

    def draw(self, rng: np.random.Generator, count: int) -> FloatArray:
        """Draws rows, shape (count, columns)."""
        of = rng.choice(len(self._weights), size=count, p=self._weights)
        found = np.empty((count, self._frame.n_columns))
        shares = rng.random((count, len(self._frame.numbers)))
        numbers = self._centres[of] + self._widths[of] * ndtri(
            self._below[of] + shares * self._within[of]
        )
        found[:, self._frame.numbers] = self._frame.unscaled(
            np.clip(numbers, self._frame.low, self._frame.high)
        )
        for (column, size), odds in zip(self._frame.categories, self._odds, strict=True):
            reached = np.cumsum(odds[of], axis=1) < rng.random((count, 1))
            found[:, column] = np.minimum(reached.sum(axis=1), size - 1)
        return found

    def log_density(self, rows: FloatArray) -> FloatArray:
        """Gives the logarithm of the density at rows, shape (m, columns), of cells that of their mass."""
        cells = self._frame.n_cells
        numbers = rows[:, self._frame.numbers]
        found = np.broadcast_to(self._constant, (len(rows), len(self._constant))).copy()
        units = (numbers[:, None, cells:] - self._centres[:, cells:]) / self._widths[:, cells:]
        found -= 0.5 * np.einsum("mnk,mnk->mn", units, units)
        for cell in range(cells):
            # Rows often lie in few cells.
            places, which = np.unique(numbers[:, cell], return_inverse=True)
            found += self._log_mass(cell, places)[which]
        for (column, _), odds in zip(self._frame.categories, self._odds, strict=True):
            found += np.log(odds).T[rows[:, column].astype(np.intp)]
        return np.asarray(np.logaddexp.reduce(found, axis=1))

    def _log_mass(self, cell: int, places: FloatArray) -> FloatArray:
        """Gives the logarithm of what every product has of some cells of a lattice, before its bounds."""
        begin, end = self._frame.edges(cell, places)
        centres, widths = self._centres[:, cell], self._widths[:, cell]
        mass = ndtr((end[:, None] - centres) / widths) - ndtr((begin[:, None] - centres) / widths)
        # Far from a row a float cannot hold it; the wide product has some everywhere.
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(mass))


def _weights(count: int) -> FloatArray:
    older = max(0, count - _EQUAL_WEIGHTS)
    return np.append(np.linspace(1.0 / max(1, count), 1.0, older), np.ones(count - older))


def _widths(numbers: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """As far as the farther neighbour on each axis: wide where rows are few, narrow where they are many.

    Args:
        numbers: shape (n, k), on their axes' scales.
    """
    count = len(numbers)
    order = np.argsort(numbers, axis=0, kind="stable")
    ends = np.vstack([low, np.take_along_axis(numbers, order, axis=0), high])
    gaps = np.diff(ends, axis=0)
    if count > 1:
        # The distance to a bound says nothing of how near the next row is.
        gaps[0] = gaps[-1] = 0.0
    widths = np.empty_like(numbers)
    np.put_along_axis(widths, order, np.maximum(gaps[:-1], gaps[1:]), axis=0)
    least = (high - low) * max(_LEAST_WIDTH, 1.0 / (2.0 + count))
    return np.clip(widths, least, high - low)


def _odds(places: FloatArray, size: int) -> FloatArray:
    """The odds of each category, shape (n + 1, size): of a row mostly for its own, of the last row even."""
    count = len(places)
    found = np.full((count + 1, size), _PRIOR_WEIGHT / (count + 1))
    found[np.arange(count), places.astype(np.intp)] += 1.0
    return np.asarray(found / found.sum(axis=1, keepdims=True))

"""scikit-optimize's ask and tell over one space."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import skopt
from skopt.space import Categorical, Dimension, Integer, Real

from services.coordinator.adapters.searchers.axes import (
    Axis,
    Category,
    Lattice,
    axes_of,
    from_row,
    to_row,
)
from services.core.space import Assignment, SearchSpace

# Of the values' standard deviation: a smaller gain is no reason to look somewhere.
_LEAST_GAIN = 0.02
# Random points the acquisition is evaluated at before the best are improved; its own 10,000 take longer than
# the fit does.
_CANDIDATES = 2_000


class SkoptProcess:
    """scikit-optimize's Gaussian process (Matérn 5/2) with expected improvement.

    Deterministic: the same points and values and the same seed give the same point. Its default
    acquisition, a portfolio of three, keeps asking for the same point on mixed spaces.

    Args:
        space: what is searched; every point lies in it.
        points: those with a value, and those pending.
        values: one for each point, larger is better; None for those pending. One at least has a value.
    """

    def __init__(
        self, space: SearchSpace, points: Sequence[Assignment], values: Sequence[float | None]
    ) -> None:
        self._space = space
        self._axes = axes_of(space)
        self._dimensions = [_dimension(each) for each in self._axes.values()]
        self._rows = [self._row(each) for each in points]
        self._costs = _costs(values)
        self._pending: list[list[int | float]] = []

    def pretend(self, pending: Sequence[Assignment]) -> None:
        """Takes further points as pending: as if each had come out best, the constant liar."""
        self._pending = [self._row(each) for each in pending]

    def draw(self, seed: int) -> Assignment:
        """Fits the process and gives the point of the largest expected improvement it finds."""
        optimizer = skopt.Optimizer(
            self._dimensions,
            base_estimator="GP",
            # Start-up points are not drawn here: the first it is told are enough for a model.
            n_initial_points=1,
            acq_func="EI",
            acq_func_kwargs={"xi": _LEAST_GAIN},
            acq_optimizer_kwargs={"n_points": _CANDIDATES},
            random_state=seed,
        )
        with warnings.catch_warnings():
            # It warns of points it was told twice, and of its libraries' changes.
            warnings.simplefilter("ignore")
            optimizer.tell(
                [*self._rows, *self._pending],
                [*self._costs, *[min(self._costs)] * len(self._pending)],
            )
            asked = optimizer.ask()
        # What it gives are NumPy's numbers, or ours as they were told.
        cells = [each.item() if isinstance(each, np.generic) else each for each in asked]
        return from_row(self._space, dict(zip(self._axes, cells, strict=True)))

    def _row(self, point: Assignment) -> list[int | float]:
        row = to_row(self._space, point)
        return [row[name] for name in self._axes]


def _costs(values: Sequence[float | None]) -> list[float]:
    """Standardised and turned round, for it minimises; what is pending counts as the best."""
    known = np.array([each for each in values if each is not None], dtype=float)
    spread = float(known.std())
    best = float(known.max())
    return [
        float((known.mean() - (best if each is None else each)) / (spread if spread > 0 else 1.0))
        for each in values
    ]


def _dimension(axis: Axis) -> Dimension:
    match axis:
        case Category(size=size):
            return Categorical([*range(size)])
        case Lattice(low=low, high=high, log=log):
            return Integer(low, high, prior="log-uniform" if log else "uniform")
        case _:
            return Real(0.0, 1.0)

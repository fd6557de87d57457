"""The tree-structured Parzen estimator over one space, told trials and asked for points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from services.coordinator.adapters.searchers.axes import axes_of, from_row, to_row
from services.coordinator.adapters.searchers.mixture import Frame, Mixture
from services.coordinator.adapters.searchers.per_trial import PerTrial
from services.core.encoding import FloatArray
from services.core.space import Assignment, SearchSpace
from services.core.trial import Trial, TrialState, ranked

# A point is the most promising one of so many.
_CANDIDATES = 24
# The share of the trials that counts as good, and their largest number.
_GOOD_SHARE = 0.1
_MOST_GOOD = 25
# A search models at most two: the one it searches and the one it explores.
_KEPT_SPACES = 4


class ParzenEstimator:
    """Tree-structured Parzen estimator (Bergstra et al. 2011; multivariate: Falkner et al. 2018).

    Of the trials the best tenth, 25 at most, are good ones; those pruned are worse than any that ran to its
    end. Points are drawn from the density of the good ones, and the one is asked for at which it exceeds the
    density of the others most. Pending trials count among the others, the constant liar, so that points
    asked for together differ. Deterministic: the same trials in the same order and the same seed give the
    same point.

    Args:
        space: what is searched; every trial lies in it.
        trials: SUCCEEDED with a finite score, PRUNED, or pending; by number, for older ones weigh less.
            One at least succeeded.
    """

    def __init__(self, space: SearchSpace, trials: Sequence[Trial]) -> None:
        self._space = space
        self._names = tuple(axes_of(space))
        self._frame = Frame(tuple(axes_of(space).values()))
        rows = self._matrix(_rows_of(space).of(trials))
        pruned = [each for each in trials if each.state is TrialState.PRUNED]
        ended = [*ranked(trials), *pruned]
        most = min(math.ceil(_GOOD_SHARE * len(ended)), _MOST_GOOD)
        numbers = {each.number for each in ended[:most]}
        good = np.array([each.number in numbers for each in trials])
        self._good = Mixture(self._frame, rows[good])
        self._told = rows[~good]
        self._others: Mixture | None = None
        self._pretended: Sequence[Assignment] = ()

    def pretend(self, pending: Sequence[Assignment]) -> None:
        """Takes further points as pending; those told before come first."""
        if len(pending) > len(self._pretended):
            self._others = None
        self._pretended = list(pending)

    def draw(self, seed: int) -> Assignment:
        """Draws the most promising of a few points; may be one that is known. `seed` in 0 … 2³² − 1."""
        if self._others is None:
            pending = [_row(self._space, each) for each in self._pretended]
            self._others = Mixture(self._frame, np.vstack([self._told, self._matrix(pending)]))
        rows = self._good.draw(np.random.default_rng(seed), _CANDIDATES)
        gain = self._good.log_density(rows) - self._others.log_density(rows)
        best = rows[int(np.argmax(gain))]
        return from_row(self._space, dict(zip(self._names, best.tolist(), strict=True)))

    def _matrix(self, rows: Sequence[tuple[float, ...]]) -> FloatArray:
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self._names))


def _row(space: SearchSpace, point: Assignment) -> tuple[float, ...]:
    # In the order of the axes: that of a point's row.
    row = to_row(space, point)
    return tuple(float(row[name]) for name in axes_of(space))


@lru_cache(maxsize=_KEPT_SPACES)
def _rows_of(space: SearchSpace) -> PerTrial[tuple[float, ...]]:
    """The rows of the trials in a space; kept, for the next question tells them again."""
    return PerTrial(lambda trial: _row(space, trial.parameters))

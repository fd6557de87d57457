"""Statistics of split scores; the one place a trial's mean is computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# numpy adds fewer than this one after the other, beginning with 0, and more of them in pairs (its
# `pairwise_sum`); an array for five folds takes thirty times as long as adding them.
_ADDED_IN_TURN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreSummary:
    """What the scores of one metric come to; all None when the score of a split is not finite."""

    mean: float | None
    std: float | None
    median: float | None
    min: float | None
    max: float | None


def mean_score(scores: Sequence[float]) -> float:
    """Returns `numpy.mean` over scores in split order, as GridSearchCV does; NaN if one is NaN.

    Raises: ValueError: there are no scores.
    """
    if not scores:
        raise ValueError("no split scores to average")
    if len(scores) < _ADDED_IN_TURN:
        total = 0.0
        for each in scores:
            total += each
        return total / len(scores)
    # A mean beyond the largest float is infinite, which callers refuse as they do any such score.
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.mean(np.asarray(scores, dtype=np.float64)))


def summarise(scores: Sequence[float]) -> ScoreSummary:
    """Summarises split scores; the standard deviation has ddof 0, as in scikit-learn.

    A metric that was undefined (NaN) or infinite on a split has no summary: statistics over the
    other splits would compare unlike things.
    """
    array = np.asarray(scores, dtype=np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        return ScoreSummary(mean=None, std=None, median=None, min=None, max=None)
    with np.errstate(over="ignore", invalid="ignore"):
        return ScoreSummary(
            mean=_finite(mean_score(scores)),
            std=_finite(float(np.std(array))),
            median=_finite(float(np.median(array))),
            min=float(array.min()),
            max=float(array.max()),
        )


def _finite(statistic: float) -> float | None:
    # Finite scores near the largest float have squares, and so deviations, beyond it.
    return statistic if math.isfinite(statistic) else None

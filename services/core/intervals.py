"""Intervals around means of split scores, which know that splits share rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from scipy.special import stdtrit

from services.core.splitting import SPLITTERS, Splitter

LEVELS: Final = (0.95, 0.99)

# Drawn anew for each repeat, as the correction supposes; folds made once are not.
_DRAWN_ANEW: Final = frozenset(
    {
        "repeated_k_fold",
        "repeated_stratified_k_fold",
        "shuffle_split",
        "stratified_shuffle_split",
    }
)


class IntervalMethod(Enum):
    """How an interval comes about; NONE for no interval."""

    NONE = "none"
    CORRECTED_T = "corrected_t"
    CORRECTED_T_HEURISTIC = "corrected_t_heuristic"


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFacts:
    """What one split of one trial took; parts in rows, times in seconds.

    Attributes:
        best_rounds: the round, from 1, after which boosting that stops early no longer improved; None
            without early stopping.
        optimistic: whether those rounds were chosen by the rows the score is measured on.
    """

    train_rows: int
    test_rows: int
    fit_seconds: float
    score_seconds: float
    best_rounds: int | None = None
    optimistic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreInterval:
    """An interval around a mean at a confidence level in (0, 1)."""

    level: float
    low: float
    high: float


def interval_method(splitter: Splitter | None) -> IntervalMethod:
    """Says how an interval over the splits of a splitter comes about; None is a single K-fold.

    None over a time series: its training parts contain one another and grow.
    """
    if splitter is not None and splitter.type in SPLITTERS and SPLITTERS[splitter.type].ordered:
        return IntervalMethod.NONE
    if splitter is not None and is_drawn_anew(splitter):
        return IntervalMethod.CORRECTED_T
    return IntervalMethod.CORRECTED_T_HEURISTIC


def is_drawn_anew(splitter: Splitter) -> bool:
    """Whether a splitter draws the parts of each repeat anew, by the seed of the run."""
    return splitter.type in _DRAWN_ANEW


def score_intervals(
    scores: Sequence[float], splits: Sequence[SplitFacts], method: IntervalMethod
) -> tuple[ScoreInterval, ...]:
    """Gives the intervals around the mean of split scores, one for each of LEVELS.

    mean ± t(J − 1) · √((1/J + mean(n_test/n_train)) · s²), s² with ddof 1: the corrected resampled t
    (Nadeau & Bengio 2003, "Inference for the Generalization Error", section 3.3).

    Args:
        splits: those of `scores`, in the same order.

    Returns: none where the method is NONE, there are fewer than two splits, a score is not finite, or
        the parts of the splits are not known.
    """
    count = len(scores)
    known = len(splits) == count and all(each.train_rows > 0 for each in splits)
    if method is IntervalMethod.NONE or count < 2 or not known:
        return ()
    values = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(values).all():
        return ()
    ratio = sum(each.test_rows / each.train_rows for each in splits) / count
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(np.mean(values))
        error = math.sqrt((1.0 / count + ratio) * float(np.var(values, ddof=1)))
    if not math.isfinite(error):
        return ()
    return tuple(
        ScoreInterval(level=level, low=mean - width, high=mean + width)
        for level in LEVELS
        for width in [float(stdtrit(count - 1, (1.0 + level) / 2.0)) * error]
    )

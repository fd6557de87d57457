"""Racing: a candidate stops once a test says that it is worse than the best one so far."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, stdtr

from services.core.encoding import FloatArray
from services.core.pruning import PruneDecision
from services.core.pruning_settings import RACING, WILCOXON, RacingRule

# So far a sum over all signs is quick.
_EXACT_PAIRS = 50


def racing(
    scores: Sequence[float],
    incumbent: Sequence[float] | None,
    *,
    rule: RacingRule,
    test_share: float,
) -> PruneDecision:
    """Stops a candidate that is worse than the incumbent over their shared splits, at a level.

    One-sided: `wilcoxon` is the signed-rank test without zero differences; `corrected_t` the t-test
    whose variance counts that training sets overlap (Nadeau & Bengio 2003, section 3):
    t = mean(d) / √((1/J + test_share) · s²), s² with ddof 1, J − 1 degrees of freedom.

    Args:
        scores: of the candidate's first splits, in split order, at least one.
        incumbent: all splits of the best complete candidate; None while there is none.
        test_share: n_test / n_train of one split; 1/(k − 1) in k-fold cross-validation.

    Returns: a decision whose `value` is the p-value (1 before the first look), `cut_off` the level.
    """
    step = len(scores)
    p_value = 1.0
    if incumbent is not None and rule.min_splits <= step <= len(incumbent):
        differences = np.asarray(scores, dtype=np.float64) - np.asarray(
            incumbent[:step], dtype=np.float64
        )
        if np.isfinite(differences).all() and differences.any():
            p_value = (
                _wilcoxon(differences)
                if rule.test == WILCOXON
                else _corrected_t(differences, test_share)
            )
    return PruneDecision(
        stop=p_value <= rule.level,
        rule=RACING,
        step=step,
        value=p_value,
        cut_off=rule.level,
        peers=0 if incumbent is None else 1,
    )


def _wilcoxon(differences: FloatArray) -> float:
    """Gives the p-value of the signed-rank test without zero differences, tied ones at their mean rank.

    Exact up to _EXACT_PAIRS pairs, by adding up the ranks one after another; beyond, the normal
    approximation with the variance of tied ranks. scipy goes through all signs where ranks are tied, which
    takes most of a second for a dozen pairs: too long where a store decides.
    """
    nonzero = differences[differences != 0]
    _, place, counts = np.unique(np.abs(nonzero), return_inverse=True, return_counts=True)
    # Twice a mean rank is a whole number.
    ranks = (2 * np.cumsum(counts) - counts + 1)[place]
    positive = int(ranks[nonzero > 0].sum())
    if len(nonzero) > _EXACT_PAIRS:
        deviation = math.sqrt(float((ranks.astype(np.float64) ** 2).sum()) / 4)
        return float(ndtr((positive - ranks.sum() / 2) / deviation))
    chances = np.ones(1)
    for rank in ranks:
        chances = (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0))) / 2
    return min(1.0, float(chances[: positive + 1].sum()))


def _corrected_t(differences: FloatArray, test_share: float) -> float:
    count = len(differences)
    variance = float(np.var(differences, ddof=1))
    mean = float(np.mean(differences))
    if variance == 0.0:
        return 0.0 if mean < 0 else 1.0
    statistic = mean / math.sqrt((1 / count + test_share) * variance)
    return float(stdtr(count - 1, statistic))

"""Rules of early stopping that guess: median, successive halving, racing. They may stop the best."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from services.core.pruning import PruneDecision
from services.core.pruning_settings import ASHA, MEDIAN, MedianRule
from services.core.statistics import mean_score


def median(
    scores: Sequence[float], peers: Sequence[Sequence[float]], *, rule: MedianRule
) -> PruneDecision:
    """Stops a trial whose mean over its finished folds is below its peers' median over the same ones.

    The median stopping rule of Golovin et al., "Google Vizier" (KDD 2017), section 3.2.1, on folds.

    Args:
        scores: of the trial's first splits, in split order, at least one.
        peers: the same of other trials; those with fewer splits are no peers at this step.
    """
    step = len(scores)
    return below_median(mean_score(scores), _averages(peers, step), step=step, rule=rule)


def median_best_so_far(
    values: Sequence[float], peers: Sequence[Sequence[float]], *, rule: MedianRule
) -> PruneDecision:
    """As `median` for a curve (boosting rounds, rungs), whose latest value is no mean of the others.

    A trial's best value so far is compared with the median of its peers' running averages up to the
    same step (Golovin et al. 2017, section 3.2.1).
    """
    step = len(values)
    return below_median(max(values), _averages(peers, step), step=step, rule=rule)


def below_median(
    value: float, averages: Sequence[float], *, step: int, rule: MedianRule
) -> PruneDecision:
    """Stops a trial that stands below the median of its peers' running averages at a step.

    Args:
        value: where the trial stands.
        averages: of each peer, over its steps up to this one; those that are not finite do not count.
    """
    finite = [each for each in averages if math.isfinite(each)]
    if not rule.looks_at(step) or len(finite) < rule.startup_trials:
        return PruneDecision(stop=False, rule=MEDIAN, step=step, value=value, peers=len(finite))
    cut_off = float(np.median(finite))
    return PruneDecision(
        stop=value < cut_off,
        rule=MEDIAN,
        step=step,
        value=value,
        cut_off=cut_off,
        peers=len(finite),
    )


def asha(
    value: float, recorded: Sequence[float], *, step: int, reduction_factor: int
) -> PruneDecision:
    """Stops a trial at a rung unless it is in the top 1/η of the values recorded there.

    The stopping variant of ASHA (Li et al., "A System for Massively Parallel Hyperparameter Tuning",
    MLSys 2020, section 3.3): with fewer than η values at the rung every trial goes on. Trials with the
    value of the last one in the top go on too.

    Args:
        value: the trial's own; one that is not finite stops as soon as there are η values.
        recorded: values of all others that reached the rung, stopped or not, in any order.
        step: steps of the rung.
        reduction_factor: η, ≥ 2.
    """
    everyone = sorted((_or_lowest(each) for each in (*recorded, value)), reverse=True)
    if len(everyone) < reduction_factor:
        return PruneDecision(stop=False, rule=ASHA, step=step, value=value, peers=len(recorded))
    cut_off = everyone[len(everyone) // reduction_factor - 1]
    return PruneDecision(
        stop=not value >= cut_off,
        rule=ASHA,
        step=step,
        value=value,
        cut_off=cut_off,
        peers=len(recorded),
    )


def _or_lowest(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def _averages(peers: Sequence[Sequence[float]], step: int) -> list[float]:
    return [mean_score(each[:step]) for each in peers if len(each) >= step]

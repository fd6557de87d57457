"""Pruning: stopping a trial before its last fold. The value of a decision, and the rule that loses nothing."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from services.core.pruning_settings import LOSSLESS, Pruning, StepKind
from services.core.statistics import mean_score

Place: TypeAlias = tuple[int, int]
"""What decides between equal scores, lowest first: `candidate_index`, then the trial's number."""

_NO_CANDIDATE: Final = 2**63 - 1


def place_of(candidate_index: int | None, number: int) -> Place:
    """Gives a trial's place among equal scores; trials without a `candidate_index` come last."""
    return (_NO_CANDIDATE if candidate_index is None else candidate_index, number)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneDecision:
    """What a rule says about a trial at a step, and why.

    Attributes:
        stop: whether the trial is to stop.
        rule: the rule's name.
        step: steps made when it was decided, counted from 1.
        value: what the trial was judged by.
        cut_off: what it was judged against; None where there was nothing yet.
        peers: trials it was compared with.
        step_kind: what a step is.
    """

    stop: bool
    rule: str
    step: int
    value: float
    cut_off: float | None = None
    peers: int = 0
    step_kind: StepKind = StepKind.FOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """A complete candidate among the best so far."""

    score: float
    place: Place

    @property
    def rank(self) -> tuple[float, Place]:
        """Sorts the better one first."""
        return (-self.score, self.place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """The last of the candidates to keep, as far as they are known: what another one must beat.

    Attributes:
        score: its mean.
        place: where a candidate that can only come to the same score must stand before; None when
            ties are kept.
        keep: how many candidates are kept.
    """

    score: float
    place: Place | None
    keep: int = 1


def with_leader(leaders: Sequence[Leader], leader: Leader, *, keep: int) -> tuple[Leader, ...]:
    """Adds a complete candidate to the best `keep`, which are sorted, the best first."""
    ordered = list(leaders)
    bisect.insort(ordered, leader, key=lambda each: each.rank)
    return tuple(ordered[:keep])


def threshold_of(leaders: Sequence[Leader], pruning: Pruning) -> Threshold | None:
    """Gives what a candidate must beat to be kept; None until `keep` candidates are complete.

    Args:
        leaders: the best complete candidates, the best first; only committed ones may count.
    """
    if len(leaders) < pruning.keep:
        return None
    last = leaders[pruning.keep - 1]
    return Threshold(
        score=last.score, place=None if pruning.keep_ties else last.place, keep=pruning.keep
    )


def lossless(
    scores: Sequence[float],
    *,
    n_splits: int,
    ceiling: float,
    threshold: Threshold | None,
    place: Place,
) -> PruneDecision:
    """Stops a candidate that cannot be among the kept ones, however well its other folds go.

    Its mean is at most `numpy.mean` of the split vector with every missing score set to `ceiling`:
    rounded addition and division are monotone, so the bound holds to the last digit for sums in one
    fixed order, and splits are always averaged in theirs. A threshold that is older than the present
    one is no higher, so it stops less and nothing that must be kept.

    Args:
        scores: of the first splits, in split order, at least one; NaN never stops a candidate.
        n_splits: how many splits there are in all, ≥ `len(scores)`.
        ceiling: the highest score the metric can return (`core.metrics.score_ceiling`).
        threshold: None while there is none.
        place: the candidate's own.

    Raises: ValueError: there are no scores, or more than splits.
    """
    if not 1 <= len(scores) <= n_splits:
        raise ValueError(f"{len(scores)} scores of {n_splits} splits; need one and at most all")
    bound = mean_score([*scores, *[ceiling] * (n_splits - len(scores))])
    stop = False
    if threshold is not None and len(scores) < n_splits:
        loses_tie = threshold.place is not None and place > threshold.place
        stop = bound < threshold.score or (bound == threshold.score and loses_tie)
    return PruneDecision(
        stop=stop,
        rule=LOSSLESS,
        step=len(scores),
        value=bound,
        cut_off=None if threshold is None else threshold.score,
        peers=0 if threshold is None else threshold.keep,
    )

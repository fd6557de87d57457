"""Which of a search's candidates is its result: the best, or the simplest that is about as good.

The rule of one standard error is that of Breiman, Friedman, Olshen and Stone (1984, "Classification and
Regression Trees", section 3.4.3): of the candidates whose cross-validated score is within one standard
error of the best, take the simplest. What is simple they say of trees; here the request does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

import numpy as np

from services.core.space import Choices, Fixed, FloatRange, Grid, IntRange, Parameter, Value
from services.core.trial import RankKey, Trial, rank_key

BEST: Final = "best"
ONE_STANDARD_ERROR: Final = "one_standard_error"
SELECTIONS: Final = (BEST, ONE_STANDARD_ERROR)


class Preference(Enum):
    """Which values of a parameter make a candidate simpler."""

    LOWER = "lower"
    HIGHER = "higher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Simpler:
    """A parameter with what makes a candidate simpler in it."""

    parameter: str
    prefer: Preference


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """How the result is selected; `simpler`, the most important parameter first, is of ONE_STANDARD_ERROR."""

    rule: str = BEST
    simpler: tuple[Simpler, ...] = ()


BY_SCORE: Final = Selection()
"""The best by score is the result: what holds where a request says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What was selected, and why.

    Attributes:
        trial: the result.
        best: the best by score, which it was measured by.
        standard_error: of the best's mean: s/√J over its J split scores, s with ddof 1; 0 for one split.
        threshold: the lowest score a candidate may have: the best's less the standard error.
        candidates: how many trials have that, the best included.
        reason: in words.
    """

    trial: Trial
    best: Trial
    standard_error: float
    threshold: float
    candidates: int
    reason: str


def standard_error(scores: Sequence[float]) -> float:
    """Gives s/√J for the scores of J splits, s with ddof 1; 0 for fewer than two."""
    if len(scores) < 2:
        return 0.0
    # Scores near the largest float have squares beyond it: nothing is then within one error but all.
    with np.errstate(over="ignore"):
        deviation = float(np.std(np.asarray(scores, dtype=np.float64), ddof=1))
    return deviation / math.sqrt(len(scores))


def threshold_of(best: Trial) -> float:
    """Gives the lowest score within one standard error of the best's; the best has one."""
    if best.score is None:
        raise ValueError(f"trial {best.number} has no score to select by")
    return best.score - standard_error(_objective(best))


class OneStandardError:
    """Selects the simplest candidate within one standard error of the best.

    Candidates come as they are read: only the one that leads is kept.

    Args:
        best: the best by score, with the scores of its splits.
        simpler: what makes a candidate simpler, the most important parameter first.
    """

    def __init__(self, best: Trial, simpler: Sequence[Simpler]) -> None:
        self.threshold: Final = threshold_of(best)
        self._best = best
        self._simpler = tuple(simpler)
        self._leader = best
        self._count = 1

    def offer(self, trials: Iterable[Trial]) -> None:
        """Takes candidates, each trial once; those below the threshold, and the best, change nothing."""
        for trial in trials:
            if trial.score is None or trial.score < self.threshold:
                continue
            if trial.number == self._best.number:
                continue
            self._count += 1
            if self._key(trial) < self._key(self._leader):
                self._leader = trial

    def selected(self) -> Selected:
        """Gives the simplest of all that were offered; between equally simple ones, the better."""
        error = standard_error(_objective(self._best))
        return Selected(
            trial=self._leader,
            best=self._best,
            standard_error=error,
            threshold=self.threshold,
            candidates=self._count,
            reason=self._reason(error),
        )

    def _key(self, trial: Trial) -> _Key:
        return (
            tuple(_place(trial.parameters.get(each.parameter), each) for each in self._simpler),
            rank_key(trial),
        )

    def _reason(self, error: float) -> str:
        order = ", then ".join(f"{each.prefer.value} {each.parameter}" for each in self._simpler)
        among = (
            f"the simplest ({order}) of {self._count} within one standard error ({error:.4g}) of the"
            " best"
        )
        if self._count == 1:
            return (
                f"trial {self._best.number} is the best, and no other is within one standard error"
                f" ({error:.4g}) of it"
            )
        if self._leader is self._best:
            return f"trial {self._best.number} is the best, and itself {among}"
        return (
            f"trial {self._leader.number} is {among}, trial {self._best.number} with"
            f" {self._best.score:.6g}"
        )


_Place: TypeAlias = tuple[int, float]
_Key: TypeAlias = tuple[tuple[_Place, ...], RankKey]


def has_order(parameter: Parameter) -> bool:
    """Whether a parameter has more than one value and numbers among them."""
    match parameter.domain:
        case FloatRange() | IntRange():
            return True
        case Choices(values=values) | Grid(values=values):
            return len(values) > 1 and any(map(_is_number, values))
        case Fixed():
            return False


def _place(value: Value, simpler: Simpler) -> _Place:
    # What is no number has no place between numbers: `null` mostly stands for "no limit".
    if not isinstance(value, int | float):
        return (1, 0.0)
    return (0, float(value) if simpler.prefer is Preference.LOWER else -float(value))


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float)


def _objective(trial: Trial) -> Sequence[float]:
    return trial.metrics[0].scores if trial.metrics else ()

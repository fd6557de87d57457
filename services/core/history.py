"""How a search went: its best score over time, and what another trial may bring."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredTrial:
    """A trial with a score, by when it ended."""

    number: int
    score: float
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Improvement:
    """A step of the best-so-far curve: a trial better than all before it.

    Attributes:
        trials_before: trials of the tuning run that had ended with a score before it, ≥ 0.
    """

    trial_number: int
    score: float
    trials_before: int
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreHistory:
    """What the scores of one tuning run come to.

    Attributes:
        count: trials with a score.
        mean: their mean; None without any, as `best` is.
        std: their standard deviation (ddof 1); None for fewer than two.
        expected_improvement: as `expected_improvement` gives it; None for fewer than two.
        improvements: the steps of the best-so-far curve, in order; between them it is flat.
    """

    count: int
    mean: float | None
    std: float | None
    best: float | None
    expected_improvement: float | None
    improvements: tuple[Improvement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHistory:
    """The history of one tuning run."""

    tuning_run_id: str
    stage_index: int
    model_run_id: str
    model_type: str
    method: str
    scores: ScoreHistory


def score_history(trials: Sequence[ScoredTrial]) -> ScoreHistory:
    """Sums up the trials of one tuning run.

    Args:
        trials: in the order they ended.
    """
    improvements: list[Improvement] = []
    for place, trial in enumerate(trials):
        if not improvements or trial.score > improvements[-1].score:
            improvements.append(
                Improvement(
                    trial_number=trial.number,
                    score=trial.score,
                    trials_before=place,
                    finished_at=trial.finished_at,
                )
            )
    count = len(trials)
    mean = math.fsum(each.score for each in trials) / count if count else None
    best = improvements[-1].score if improvements else None
    std = expected = None
    if mean is not None and best is not None and count > 1:
        # Squares of scores near the largest float overflow; such a spread is not known.
        try:
            std = math.sqrt(math.fsum((each.score - mean) ** 2 for each in trials) / (count - 1))
            expected = expected_improvement(mean, std, best)
        except OverflowError:
            std = None
    return ScoreHistory(
        count=count,
        mean=mean,
        std=std,
        best=best,
        expected_improvement=expected,
        improvements=tuple(improvements),
    )


def expected_improvement(mean: float, std: float, best: float) -> float:
    """Returns by how much one more trial may be expected to raise the best, ≥ 0.

    It is drawn from the normal distribution the trials so far seem to come from: EI = (μ - b)·Φ(z) + σ·φ(z)
    with z = (μ - b)/σ (Jones, Schonlau & Welch 1998, equation 15, for a maximum). Searchers that learn do
    better than such a draw.
    """
    if std <= 0:
        return 0.0
    z = (mean - best) / std
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    below = math.erfc(-z / math.sqrt(2)) / 2
    return max(0.0, (mean - best) * below + std * density)

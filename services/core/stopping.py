"""Stopping early: a search or stage ends when it stops improving, or when its score is good enough."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final

from services.core.errors import FieldViolation, InvalidRequest
from services.core.limits import MAX_TRIALS_PER_RUN


class StopReason(Enum):
    """Why something ended before its plan did; the value is the reason it ends with."""

    PLATEAU = "PLATEAU"
    TARGET_REACHED = "TARGET_REACHED"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingRules:
    """When enough was found; None where a rule does not hold.

    Attributes:
        plateau_trials: trials in a row without an improvement that end it, ≥ 1.
        min_improvement: what a score must be above the last improvement to be one, ≥ 0.
        target_score: ends it when a trial scores as much or more.

    Raises: InvalidRequest: a rule is out of range, or there is a `min_improvement` and no plateau.
    """

    plateau_trials: int | None = None
    min_improvement: float = 0.0
    target_score: float | None = None

    def __post_init__(self) -> None:
        """Checks all rules."""
        problems = []
        if self.plateau_trials is not None and not 1 <= self.plateau_trials <= MAX_TRIALS_PER_RUN:
            problems.append(
                FieldViolation(
                    field="plateau_trials",
                    description=f"is {self.plateau_trials}, must be between 1 and"
                    f" {MAX_TRIALS_PER_RUN}",
                )
            )
        if not (math.isfinite(self.min_improvement) and self.min_improvement >= 0):
            problems.append(
                FieldViolation(
                    field="min_improvement",
                    description=f"is {self.min_improvement}, must be a finite number of 0 or more",
                )
            )
        elif self.min_improvement and self.plateau_trials is None:
            problems.append(
                FieldViolation(
                    field="min_improvement",
                    description=f"is {self.min_improvement:g} without plateau_trials; say after how"
                    " many trials without such an improvement to stop",
                )
            )
        if self.target_score is not None and not math.isfinite(self.target_score):
            problems.append(
                FieldViolation(
                    field="target_score",
                    description=f"is {self.target_score}, must be a finite number",
                )
            )
        if problems:
            raise InvalidRequest(problems)

    @property
    def any(self) -> bool:
        """Whether there is a rule at all."""
        return self.plateau_trials is not None or self.target_score is not None


NO_RULES: Final = StoppingRules()
"""Rules that never end anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """How scores went so far.

    Attributes:
        reference: score of the last improvement; None before the first score.
        flat_trials: trials since then.
    """

    reference: float | None = None
    flat_trials: int = 0


NO_TREND: Final = Trend()
"""The trend before any trial."""


def follow(
    rules: StoppingRules, trend: Trend, *, score: float | None, best_before: float | None
) -> tuple[Trend, StopReason | None]:
    """Takes note of a trial that ended.

    The first score is an improvement, and every one more than `min_improvement` above the last
    improvement: many small steps that together exceed it are one. Before the first score nothing is flat.
    The target is reached by the trial that brings the best up to it, so what goes on after it was
    reached is not ended by it again.

    Args:
        score: of the trial; None for one that was stopped early, which is no improvement. Failed and
            cancelled trials say nothing about scores: they are not told.
        best_before: the best score before it; None without any.

    Returns: the trend from now on, and why it is over, if it is.
    """
    if score is not None and (
        trend.reference is None or score > trend.reference + rules.min_improvement
    ):
        trend = Trend(reference=score)
    elif trend.reference is not None:
        trend = Trend(reference=trend.reference, flat_trials=trend.flat_trials + 1)
    target = rules.target_score
    if (
        target is not None
        and score is not None
        and score >= target
        and (best_before is None or best_before < target)
    ):
        return trend, StopReason.TARGET_REACHED
    if rules.plateau_trials is not None and trend.flat_trials >= rules.plateau_trials:
        return trend, StopReason.PLATEAU
    return trend, None


def stop_message(
    rules: StoppingRules, reason: StopReason, *, best_score: float, best_number: int
) -> str:
    """Says in words why something ended, for people."""
    best = f"trial {best_number} has {best_score:.6g}"
    if reason is StopReason.TARGET_REACHED:
        return f"the target of {rules.target_score:g} is reached: {best}"
    step = f" by more than {rules.min_improvement:g}" if rules.min_improvement else ""
    count = rules.plateau_trials or 0
    since = "the last trial" if count == 1 else f"none of the last {count} trials"
    verb = "did not improve" if count == 1 else "improved"
    return f"{since} {verb} the score{step}: {best}"

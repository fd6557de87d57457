"""Points a tuning run tries before its searcher decides: the model's current parameters, and those given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.core.space import Assignment

BASELINE_PHASE: Final = "baseline"
GIVEN_PHASE: Final = "given"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPoints:
    """What is tried first, in this order.

    Attributes:
        baseline: the model's current parameters, by which improvement is measured; None for no such trial.
        points_to_try: those a client named, without repeats.
    """

    baseline: Assignment | None = None
    points_to_try: tuple[Assignment, ...] = ()

    def __len__(self) -> int:
        return (self.baseline is not None) + len(self.points_to_try)

    def at(self, index: int) -> tuple[Assignment, str]:
        """The point of a suggestion, with its phase. Raises: IndexError: there are fewer."""
        if self.baseline is not None:
            if index == 0:
                return self.baseline, BASELINE_PHASE
            index -= 1
        return self.points_to_try[index], GIVEN_PHASE


NO_START_POINTS: Final = StartPoints()
"""The searcher decides from the first trial on."""

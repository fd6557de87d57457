"""The searcher port: what decides which points to try next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.core.space import Assignment
from services.core.trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A point to try.

    `phase` says where it came from: grid, random, sobol, explore, startup, model, one_at_a_time, joint,
    baseline, given, fixed, repeat. `copied_from` is the number of the SUCCEEDED trial of this very point
    whose result it takes instead of being run; None for all that run.
    """

    parameters: Assignment
    candidate_index: int | None
    phase: str
    copied_from: int | None = None


class Searcher(Protocol):
    """Decides which points to try next; keeps no state of its own beyond what it was told.

    Randomness comes from (seed, suggestion index) alone, so a searcher rebuilt from the trials that
    were known at a suggestion makes the same suggestion again.
    """

    def ask(self, *, count: int, first_index: int, known: Sequence[Trial]) -> Sequence[Suggestion]:
        """Suggests up to `count` points for suggestion indices from `first_index` on.

        Args:
            known: every trial of the plan for the same model run, any state, sorted by number;
                those not terminal are pending. Trials of earlier stages are included.

        Returns: fewer than `count` points, possibly none, only when the space is used up.
        """
        ...

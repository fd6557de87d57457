"""What to try when a tuning run begins in a space in which everything was tried before."""

from __future__ import annotations

from collections.abc import Sequence

from services.core.sampling import generator, sample
from services.core.searcher import Suggestion
from services.core.space import SearchSpace, contains
from services.core.trial import Trial, ranked


def forced_repeat(space: SearchSpace, seed: int, known: Sequence[Trial]) -> Suggestion:
    """The best point known of a space with its result; a random one when none of its points succeeded.

    A small space may be used up before a later stage of a plan begins. That stage then repeats one
    point, so that it ends as a success and the plan with it, as the search itself did. A result is not
    measured again: it would come out the same.
    """
    best = next((each for each in ranked(known) if contains(space, each.parameters)), None)
    if best is None:
        point = sample(space, generator(seed, 0))
        return Suggestion(parameters=point, candidate_index=None, phase="repeat")
    return Suggestion(
        parameters=best.parameters, candidate_index=None, phase="repeat", copied_from=best.number
    )

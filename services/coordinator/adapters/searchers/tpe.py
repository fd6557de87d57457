"""TPE: the tree-structured Parzen estimator, on all the plan's results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.coordinator.adapters.searchers.drawing import Engine, Estimator
from services.core.space import SearchSpace
from services.core.trial import Trial, TrialState, ranked

_MOST_BEST = 100
_MOST_RECENT = 1_000
_DRAWS = 8


def capped_history(known: Sequence[Trial]) -> list[Trial]:
    """The trials a model is told: the best and the most recent ones, and all pending, by number.

    A density costs more the more points it rests on. Failed and cancelled trials say nothing about
    scores and are left out; those pruned count as worse than any that ran to its end.
    """
    ended = [each for each in known if each.state in (TrialState.SUCCEEDED, TrialState.PRUNED)]
    pending = [each for each in known if not each.state.is_terminal]
    best = ranked(ended)[:_MOST_BEST] if len(ended) > _MOST_RECENT else []
    kept = {each.number: each for each in [*best, *ended[-_MOST_RECENT:], *pending]}
    return [kept[number] for number in sorted(kept)]


def _estimator(space: SearchSpace, trials: Sequence[Trial]) -> Estimator:
    # SciPy takes a moment to import; the start-up trials need not wait for it.
    from services.coordinator.adapters.searchers.parzen import ParzenEstimator  # noqa: PLC0415 (see above)

    return ParzenEstimator(space, trials)


TPE_ENGINE: Final = Engine(
    history=capped_history, estimator=_estimator, draws=_DRAWS, learns_across=True
)
"""Draws from the estimator; cheap enough to draw again where a point is known."""

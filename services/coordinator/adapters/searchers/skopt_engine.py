"""scikit-optimize's Gaussian process, beside our own: which results it is told, and how often it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.coordinator.adapters.searchers.drawing import Engine, Estimator
from services.coordinator.ports import SearcherFailed
from services.core.estimates import with_estimates
from services.core.space import SearchSpace
from services.core.trial import Trial, TrialState, ranked

# It learns length scales from all it is told, from three starts: beyond these a suggestion takes seconds.
_MOST_BEST = 50
_MOST_RECENT = 50


def told_history(known: Sequence[Trial]) -> list[Trial]:
    """The trials the model is told: the best and the most recent ones, and all pending, by number.

    Those that failed say nothing about scores and are left out; those pruned have an estimated one.
    """
    scored = ranked(with_estimates(known))
    rest = sorted(scored[_MOST_BEST:], key=lambda trial: trial.number)
    pending = [each for each in known if not each.state.is_terminal]
    kept = [*scored[:_MOST_BEST], *rest[-_MOST_RECENT:], *pending]
    return sorted(kept, key=lambda trial: trial.number)


def _estimator(space: SearchSpace, trials: Sequence[Trial]) -> Estimator:
    # It takes seconds to import; the start-up trials need not wait for it.
    try:
        from services.coordinator.adapters.searchers.skopt_process import (  # noqa: PLC0415 (see above)
            SkoptProcess,
        )
    except ImportError as error:
        raise SearcherFailed(
            f"scikit-optimize cannot be loaded ({error}); install crescendo-tuning[services] again,"
            " or use bayesian"
        ) from error
    return SkoptProcess(
        space,
        [each.parameters for each in trials],
        [each.score if each.state is TrialState.SUCCEEDED else None for each in trials],
    )


# A second draw would be another fit, and likely the same point.
SKOPT_ENGINE: Final = Engine(
    history=told_history, estimator=_estimator, draws=1, learns_across=False
)
"""Asks scikit-optimize once; where its point is known, one near it is tried."""

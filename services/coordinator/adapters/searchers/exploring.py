"""Looking outside a refined space, in the original bounds: refinement may be wrong."""

from __future__ import annotations

from typing import Final

from services.coordinator.ports import SearchTask
from services.core.sampling import is_explore, sample_without_repeat
from services.core.searcher import Suggestion
from services.core.space import SearchSpace

# A model knows by itself where it pays to look, so it may look outside more often than points drawn at
# random: at the usual share of a fifth, with every third.
_MODEL_LOOKS_MORE: Final = 5 / 3


def explore_share(task: SearchTask) -> float:
    """Share of a stage's points that look outside, 0 to 1, where points depend on no result."""
    return task.explore if task.refined else 0.0


def modelled_explore_share(task: SearchTask) -> float:
    """Share of a stage's points that look outside, 0 to 1, where a model says where to."""
    return min(1.0, explore_share(task) * _MODEL_LOOKS_MORE)


def explored(
    bounds: SearchSpace, share: float, seed: int, index: int, taken: set[str]
) -> Suggestion | None:
    """A random point of the original bounds, when it is this index's turn and one is left."""
    if not is_explore(index, share):
        return None
    point = sample_without_repeat(bounds, seed, index, taken)
    if point is None:
        return None
    return Suggestion(parameters=point, candidate_index=None, phase="explore")

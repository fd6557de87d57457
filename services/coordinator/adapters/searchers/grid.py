"""Grid search: every point of a grid once, built when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.coordinator.adapters.searchers.seeds import stage_seed
from services.coordinator.ports import SearchTask
from services.core.grid import grid_point, grid_size
from services.core.sampling import generator
from services.core.searcher import Suggestion
from services.core.space import SearchSpace
from services.core.trial import Trial


class GridSearcher:
    """Suggestion i is point i of scikit-learn's ParameterGrid; needs to know no trial.

    Shuffled, it is point i of the grid in an order that follows from the seed; a point keeps its
    `candidate_index`, which decides between equal scores.
    """

    def __init__(self, task: SearchTask) -> None:
        self._space = task.space
        self._size = grid_size(task.space)
        self._order: NDArray[np.int64] | None = None
        if task.shuffled:
            self._order = generator(stage_seed(task), 0).permutation(self._size)

    def ask(
        self,
        *,
        count: int,
        first_index: int,
        known: Sequence[Trial],  # noqa: ARG002 (its points follow from their index)
    ) -> Sequence[Suggestion]:
        """As in Searcher."""
        return [
            Suggestion(
                parameters=grid_point(self._space, place), candidate_index=place, phase="grid"
            )
            for place in map(self._place, range(first_index, min(first_index + count, self._size)))
        ]

    def _place(self, index: int) -> int:
        return index if self._order is None else int(self._order[index])


class FixedPointSearcher:
    """Cross-validation: the one point of a space whose parameters are all fixed."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space

    def ask(
        self,
        *,
        count: int,
        first_index: int,
        known: Sequence[Trial],  # noqa: ARG002 (its points follow from their index)
    ) -> Sequence[Suggestion]:
        """As in Searcher."""
        if first_index > 0 or count < 1:
            return []
        return [
            Suggestion(parameters=grid_point(self._space, 0), candidate_index=None, phase="fixed")
        ]

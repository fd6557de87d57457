"""Grid search: every point of a grid once, built when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from services.core.grid import grid_point, grid_size
from services.core.searcher import Suggestion
from services.core.space import SearchSpace
from services.core.trial import Trial


class GridSearcher:
    """Suggestion i is point i of scikit-learn's ParameterGrid; needs to know no trial."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._size = grid_size(space)

    def ask(
        self,
        *,
        count: int,
        first_index: int,
        known: Sequence[Trial],  # noqa: ARG002
    ) -> Sequence[Suggestion]:
        """As in Searcher."""
        return [
            Suggestion(
                parameters=grid_point(self._space, index), candidate_index=index, phase="grid"
            )
            for index in range(first_index, min(first_index + count, self._size))
        ]


class FixedPointSearcher:
    """Cross-validation: the one point of a space whose parameters are all fixed."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space

    def ask(
        self,
        *,
        count: int,
        first_index: int,
        known: Sequence[Trial],  # noqa: ARG002
    ) -> Sequence[Suggestion]:
        """As in Searcher."""
        if first_index > 0 or count < 1:
            return []
        return [
            Suggestion(parameters=grid_point(self._space, 0), candidate_index=None, phase="fixed")
        ]

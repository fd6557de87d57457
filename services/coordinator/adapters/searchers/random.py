"""Random search: independent points, never the same twice."""

from __future__ import annotations

from collections.abc import Sequence

from services.coordinator.adapters.searchers.exploring import explore_share, explored
from services.coordinator.adapters.searchers.known_points import KnownPoints
from services.coordinator.adapters.searchers.repeats import forced_repeat
from services.coordinator.adapters.searchers.seeds import stage_seed
from services.coordinator.ports import SearchTask
from services.core.digest import assignment_digest
from services.core.hull import hull_space
from services.core.sampling import sample_without_repeat
from services.core.searcher import Suggestion
from services.core.trial import Trial


class RandomSearcher:
    """Draws from lists and ranges, without replacement on finite spaces.

    A point depends on the seed, its index and the points before it alone: on no result.
    """

    def __init__(self, task: SearchTask) -> None:
        self._space = task.space
        self._bounds = hull_space(task.original_space)
        self._explore_share = explore_share(task)
        self._seed = stage_seed(task)
        self._known_points = KnownPoints()

    def ask(self, *, count: int, first_index: int, known: Sequence[Trial]) -> Sequence[Suggestion]:
        """As in Searcher."""
        # What is suggested now may never become a trial: it counts as taken for this call only.
        taken, suggestions = self._known_points.taken(known), []
        for index in range(first_index, first_index + count):
            suggestion = self._draw(index, taken)
            if suggestion is None and index == 0:
                suggestion = forced_repeat(self._space, self._seed, known)
            if suggestion is None:
                break
            taken.add(assignment_digest(suggestion.parameters))
            suggestions.append(suggestion)
        return suggestions

    def _draw(self, index: int, taken: set[str]) -> Suggestion | None:
        found = explored(self._bounds, self._explore_share, self._seed, index, taken)
        if found is not None:
            return found
        point = sample_without_repeat(self._space, self._seed, index, taken)
        if point is None:
            return None
        return Suggestion(parameters=point, candidate_index=None, phase="random")

"""Random search: independent points, never the same twice."""

from __future__ import annotations

from collections.abc import Sequence

from services.coordinator.adapters.searchers.repeats import forced_repeat
from services.coordinator.adapters.searchers.seeds import stage_seed
from services.coordinator.ports import SearchTask
from services.core.digest import assignment_digest
from services.core.hull import hull_space
from services.core.sampling import is_explore, sample_without_repeat
from services.core.searcher import Suggestion
from services.core.trial import Trial

# Share of a refined stage's points that look outside the refined bounds: refinement may be wrong.
_EXPLORE_SHARE = 0.2


class RandomSearcher:
    """Draws from lists and ranges, without replacement on finite spaces.

    A point depends on the seed, its index and the points before it alone: on no result.
    """

    def __init__(self, task: SearchTask) -> None:
        self._space = task.space
        self._bounds = hull_space(task.original_space)
        self._explore_share = _EXPLORE_SHARE if task.refined else 0.0
        self._seed = stage_seed(task)
        self._taken: set[str] = set()
        self._told = 0

    def ask(self, *, count: int, first_index: int, known: Sequence[Trial]) -> Sequence[Suggestion]:
        """As in Searcher."""
        self._learn(known)
        # What is suggested now may never become a trial: it counts as taken for this call only.
        taken, suggestions = set(self._taken), []
        for index in range(first_index, first_index + count):
            suggestion = self._draw(index, taken)
            if suggestion is None and index == 0:
                suggestion = forced_repeat(self._space, self._seed, known)
            if suggestion is None:
                break
            taken.add(assignment_digest(suggestion.parameters))
            suggestions.append(suggestion)
        return suggestions

    def _learn(self, known: Sequence[Trial]) -> None:
        # Trials are only ever added, so those told before need not be digested again.
        if len(known) < self._told:
            self._taken.clear()
            self._told = 0
        self._taken.update(assignment_digest(trial.parameters) for trial in known[self._told :])
        self._told = len(known)

    def _draw(self, index: int, taken: set[str]) -> Suggestion | None:
        if is_explore(index, self._explore_share):
            point = sample_without_repeat(self._bounds, self._seed, index, taken)
            if point is not None:
                return Suggestion(parameters=point, candidate_index=None, phase="explore")
        point = sample_without_repeat(self._space, self._seed, index, taken)
        if point is None:
            return None
        return Suggestion(parameters=point, candidate_index=None, phase="random")

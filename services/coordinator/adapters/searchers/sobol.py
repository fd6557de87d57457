"""Sobol search: points that fill the space evenly, by a scrambled low-discrepancy sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scipy.stats import qmc

from services.coordinator.adapters.searchers.exploring import explore_share, explored
from services.coordinator.adapters.searchers.known_points import KnownPoints
from services.coordinator.adapters.searchers.repeats import forced_repeat
from services.coordinator.adapters.searchers.seeds import stage_seed
from services.coordinator.ports import SearchTask
from services.core.digest import assignment_digest
from services.core.hull import hull_space
from services.core.placement import place_names, point_at
from services.core.sampling import generator, sample_without_repeat
from services.core.searcher import Suggestion
from services.core.space import Assignment, contains
from services.core.trial import Trial


class SobolSearcher:
    """Suggestion i is point i of the sequence (Sobol' 1967, scrambled as by Matoušek 1998).

    Where rounding to a list or a lattice gives a point that is taken, a random one stands in for it,
    so that a finite space is used up exactly. A point depends on the seed, its index and the points
    before it alone: on no result.
    """

    def __init__(self, task: SearchTask) -> None:
        self._space = task.space
        self._bounds = hull_space(task.original_space)
        self._explore_share = explore_share(task)
        self._seed = stage_seed(task)
        self._names = place_names(task.space)
        self._known_points = KnownPoints()

    def ask(self, *, count: int, first_index: int, known: Sequence[Trial]) -> Sequence[Suggestion]:
        """As in Searcher."""
        # What is suggested now may never become a trial: it counts as taken for this call only.
        taken, suggestions = self._known_points.taken(known), []
        for index, point in enumerate(self._points(first_index, count), start=first_index):
            suggestion = self._suggestion(index, point, taken)
            if suggestion is None and index == 0:
                suggestion = forced_repeat(self._space, self._seed, known)
            if suggestion is None:
                break
            taken.add(assignment_digest(suggestion.parameters))
            suggestions.append(suggestion)
        return suggestions

    def _points(self, first_index: int, count: int) -> Iterator[Assignment]:
        if not self._names:
            yield from (point_at(self._space, {}) for _ in range(count))
            return
        # Made anew for every call: the scrambling follows from the seed, and skipping ahead is cheap.
        sequence = qmc.Sobol(len(self._names), scramble=True, rng=generator(self._seed, 0, -4))
        if first_index:
            sequence.fast_forward(first_index)
        for _ in range(count):
            row = sequence.random(1)[0].tolist()
            yield point_at(self._space, dict(zip(self._names, row, strict=True)))

    def _suggestion(self, index: int, point: Assignment, taken: set[str]) -> Suggestion | None:
        found = explored(self._bounds, self._explore_share, self._seed, index, taken)
        if found is not None:
            return found
        if assignment_digest(point) not in taken and contains(self._space, point):
            return Suggestion(parameters=point, candidate_index=None, phase="sobol")
        other = sample_without_repeat(self._space, self._seed, index, taken)
        if other is None:
            return None
        return Suggestion(parameters=other, candidate_index=None, phase="random")

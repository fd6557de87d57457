"""Local search: around a baseline, one parameter at a time and then jointly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.coordinator.adapters.searchers.repeats import forced_repeat
from services.coordinator.adapters.searchers.seeds import stage_seed
from services.coordinator.ports import SearcherFailed, SearchTask
from services.core.digest import assignment_digest
from services.core.encoding import neighbours
from services.core.placement import searched_parameters
from services.core.sampling import generator, sample_without_repeat
from services.core.scale import from_unit, to_unit
from services.core.searcher import Suggestion
from services.core.space import (
    Assignment,
    FloatRange,
    IntRange,
    Parameter,
    SearchSpace,
    Value,
    contains,
    domain_size,
    is_member,
    parameter_size,
    same_value,
    value_at,
)
from services.core.trial import Trial, ranked

# Joint moves: how far, as a share of the box, and how many are looked at for one that is untried.
_SCALE = 0.25
_NEARBY = 32
# Every so manieth joint point comes from anywhere in the box: the best so far may be a poor guide.
_ANYWHERE_EVERY = 3


class LocalSearcher:
    """Searches the box around a baseline; the box is the task's space.

    The baseline is the model's current parameters, or in a later stage of a plan the best trial of the
    stages before it. First each parameter alone moves to either end of its range, then half as far, or to its other
    values; then several move at once, around the best trial of the box so far. A point depends on the
    seed, its index and the trials known alone.
    """

    def __init__(self, task: SearchTask) -> None:
        self._box = task.space
        self._stage = task.stage_index
        self._given = task.start.baseline
        self._seed = stage_seed(task)
        self._baseline: Assignment = {}
        self._single: list[Assignment] = []

    def ask(self, *, count: int, first_index: int, known: Sequence[Trial]) -> Sequence[Suggestion]:
        """As in Searcher."""
        if not self._single:
            self._baseline = self._found_baseline(known)
            self._single = [*_single_moves(self._box, self._baseline)]
        taken = {assignment_digest(trial.parameters) for trial in known}
        inside = (each for each in ranked(known) if contains(self._box, each.parameters))
        best = next(inside, None)
        centre = self._baseline if best is None else best.parameters
        suggestions: list[Suggestion] = []
        for index in range(first_index, first_index + count):
            suggestion = self._alone(taken) or self._jointly(index, centre, taken)
            if suggestion is None and index == 0:
                suggestion = forced_repeat(self._box, self._seed, known)
            if suggestion is None:
                break
            taken.add(assignment_digest(suggestion.parameters))
            suggestions.append(suggestion)
        return suggestions

    def _found_baseline(self, known: Sequence[Trial]) -> Assignment:
        """The point to search around; what the stages before have found changes no more."""
        before = ranked([each for each in known if each.stage_index < self._stage])
        inside = (each.parameters for each in before if contains(self._box, each.parameters))
        baseline = self._given if self._given is not None else next(inside, None)
        if baseline is None or not contains(self._box, baseline):
            raise SearcherFailed("there is no baseline in the space to search around")
        return baseline

    def _alone(self, taken: set[str]) -> Suggestion | None:
        for point in self._single:
            if assignment_digest(point) not in taken:
                return Suggestion(parameters=point, candidate_index=None, phase="one_at_a_time")
        return None

    def _jointly(self, index: int, centre: Assignment, taken: set[str]) -> Suggestion | None:
        point: Assignment | None = None
        if index % _ANYWHERE_EVERY != _ANYWHERE_EVERY - 1:
            rng = generator(self._seed, index, -6)
            near = neighbours(self._box, centre, rng, _SCALE, _NEARBY)
            point = next((each for each in near if assignment_digest(each) not in taken), None)
        if point is None:
            point = sample_without_repeat(self._box, self._seed, index, taken)
        if point is None:
            return None
        return Suggestion(parameters=point, candidate_index=None, phase="joint")


def _single_moves(space: SearchSpace, baseline: Assignment) -> Iterator[Assignment]:
    """The baseline with one parameter moved: all the far moves first, so that few trials see them all."""
    searched = [each for each in searched_parameters(space) if each.name in baseline]
    yield dict(baseline)
    for share in (1.0, 0.5):
        for parameter in searched:
            for value in _moves(parameter, baseline[parameter.name], share):
                moved = {**baseline, parameter.name: value}
                if contains(space, moved):
                    yield moved


def _moves(parameter: Parameter, value: Value, share: float) -> list[Value]:
    domain = parameter.domain
    if not isinstance(domain, IntRange | FloatRange):
        values = [value_at(parameter, place) for place in range(parameter_size(parameter) or 0)]
        return [each for each in values if share == 1.0 and not same_value(each, value)]
    moves: list[Value] = []
    if domain_size(domain) != 1:
        here = 0.5
        if isinstance(value, int | float) and not is_member(value, parameter.specials):
            here = to_unit(domain, value)
        ends = [here + share * (1.0 - here), here - share * here]
        moves = [from_unit(domain, each) for each in ends]
    if share == 1.0:
        moves += parameter.specials
    return [each for each in moves if not same_value(each, value)]

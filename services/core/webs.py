"""Webs: parameters joined by conditions of which some have several parents.

A web is gone through parents first. Whether a parameter is active follows from those values of its
parents that conditions name; all other values of a parent are alike, and are counted together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from services.core.pipeline_order import pipeline_name
from services.core.space import (
    Parameter,
    SearchSpace,
    Value,
    parameter_size,
    parents_first,
    place_of,
    value_at,
)

# Which parents have a value that some condition names, and the value's place; others are left out.
_Known: TypeAlias = frozenset[tuple[str, int]]


def webs_of(space: SearchSpace) -> list[Web]:
    """Returns the webs of a space; trees, in which each has one parent at most, are none."""
    if all(len(each.conditions) < 2 for each in space.parameters):
        return []
    joined: list[set[str]] = []
    for parameter in space.parameters:
        own = {parameter.name, *parameter.parents}
        touching = [each for each in joined if each & own]
        joined = [each for each in joined if not each & own]
        joined.append(own.union(*touching))
    ordered = _ordered(space)
    groups = [[each for each in ordered if each.name in names] for names in joined]
    return [Web(each) for each in groups if any(len(one.conditions) > 1 for one in each)]


def _ordered(space: SearchSpace) -> list[Parameter]:
    depth: dict[str, int] = {}
    for each in parents_first(space):
        depth[each.name] = max((depth[name] + 1 for name in each.parents), default=0)
    return sorted(space.parameters, key=lambda each: (depth[each.name], pipeline_name(each)))


class Web:
    """One web.

    Args:
        parameters: parents before children.
    """

    def __init__(self, parameters: list[Parameter]) -> None:
        self.parameters = parameters
        by_name = {each.name: each for each in parameters}
        # Per condition of each parameter: the parent's places at which it holds.
        self._places = {
            each.name: [
                (
                    condition.parent,
                    {place_of(by_name[condition.parent], value) for value in condition.values},
                )
                for condition in each.conditions
            ]
            for each in parameters
        }
        self._last_child = {
            parent: place for place, each in enumerate(parameters) for parent in each.parents
        }
        self._turns = {name: self._turns_of(name) for name in by_name}
        self._sizes: dict[tuple[int, _Known], int | None] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, parents before children."""
        return tuple(each.name for each in self.parameters)

    @property
    def states(self) -> int:
        """At most so many states of its parents are told apart to count its points."""
        product = 1
        for parent in self._last_child:
            product *= len(self._turns[parent]) + 1
        return product

    @property
    def size(self) -> int | None:
        """The number of its points; None when infinite."""
        return self._size(0, frozenset())

    def at(self, index: int) -> dict[str, Value]:
        """Returns a point by its place, 0 to `size` - 1; the last parameter varies fastest."""
        point: dict[str, Value] = {}
        known: _Known = frozenset()
        for place, parameter in enumerate(self.parameters):
            if not self._is_active(parameter, known):
                continue
            for first, count, then in self._runs(place, known):
                below = self._size(place + 1, then) or 1
                if index < count * below:
                    within, index = divmod(index, below)
                    point[parameter.name] = value_at(parameter, first + within)
                    known = then
                    break
                index -= count * below
        return point

    def _size(self, place: int, known: _Known) -> int | None:
        if place == len(self.parameters):
            return 1
        key = (place, known)
        if key not in self._sizes:
            self._sizes[key] = self._counted(place, known)
        return self._sizes[key]

    def _counted(self, place: int, known: _Known) -> int | None:
        parameter = self.parameters[place]
        if not self._is_active(parameter, known):
            return self._size(place + 1, self._still_needed(place, known))
        if parameter_size(parameter) is None:
            return None
        total = 0
        for _, count, then in self._runs(place, known):
            below = self._size(place + 1, then)
            if below is None:
                return None
            total += count * below
        return total

    def _runs(self, place: int, known: _Known) -> Iterator[tuple[int, int, _Known]]:
        """The values of a parameter in runs that are alike: first place, count, what is known then."""
        parameter = self.parameters[place]
        needed = self._still_needed(place, known)
        start = 0
        for turn in self._turns[parameter.name]:
            if turn > start:
                yield start, turn - start, needed
            yield turn, 1, self._still_needed(place, known | {(parameter.name, turn)})
            start = turn + 1
        size = parameter_size(parameter) or 0
        if size > start:
            yield start, size - start, needed

    def _is_active(self, parameter: Parameter, known: _Known) -> bool:
        values = dict(known)
        return all(
            values.get(parent) in places - {None} for parent, places in self._places[parameter.name]
        )

    def _still_needed(self, place: int, known: _Known) -> _Known:
        """Forgets parents without a child behind a place: what differs in them alone counts once."""
        return frozenset(each for each in known if self._last_child.get(each[0], -1) > place)

    def _turns_of(self, name: str) -> list[int]:
        named = (
            place
            for conditions in self._places.values()
            for parent, places in conditions
            if parent == name
            for place in places
        )
        return sorted({place for place in named if place is not None})

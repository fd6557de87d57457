"""What a model sees of a plan: one space for the points of all its stages, whatever each searched.

A stage may search some parameters, hold others at the best values so far, and leave the rest as the model
has them. To a model all of them are inputs: those held are merely the same in every point it may propose.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from services.core.encoding import FloatArray, n_dims, to_unit_cube
from services.core.hull import hull_space
from services.core.space import (
    Assignment,
    Choices,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    contains,
    parameter_contains,
    parameter_size,
    value_at,
)

UNSET: Final = " as the model has it"
"""Stands for the value of a parameter that a point says nothing of: like a special value, near to no
other. Nothing is ever tried with it."""


def modelling_space(
    original: SearchSpace, searched: SearchSpace, before: Sequence[tuple[SearchSpace, SearchSpace]]
) -> SearchSpace:
    """Returns the space of all points tried in a plan for one model run, for a model to see.

    Without constraints: they say which points may be tried, not what was learnt from a point. It is
    `original` itself where every stage searches the same parameters, and where there are alternatives,
    which stages search whole.

    Args:
        original: the space of the present stage as it was asked for.
        searched: the space it searches, with what it holds.
        before: the same two of each earlier stage, in the order of the plan.
    """
    stages = [(original, searched), *reversed(before)]
    if any(each.alternatives for pair in stages for each in pair):
        return original
    names = [set(space.names) for _, space in stages]
    known = _ranges_first(asked for asked, _ in stages)
    # The present stage's own bounds hold its points, whatever others made of a parameter.
    known.update((each.name, each) for each in original.parameters)
    for _, space in stages:
        for each in space.parameters:
            known.setdefault(each.name, each)
    if set(known) == set(original.names) and all(each == names[0] for each in names):
        return original
    return SearchSpace.of(
        each if each.conditions or all(each.name in some for some in names) else _or_unset(each)
        for each in known.values()
    )


def _ranges_first(spaces: Iterable[SearchSpace]) -> dict[str, Parameter]:
    """The parameters by name: of several the first, but for lists, which may be parts of a range."""
    known: dict[str, Parameter] = {}
    for space in spaces:
        for each in space.parameters:
            if each.name not in known or (
                isinstance(known[each.name].domain, Grid) and not isinstance(each.domain, Grid)
            ):
                known[each.name] = each
    return known


def _or_unset(parameter: Parameter) -> Parameter:
    if parameter_contains(parameter, UNSET):
        return parameter
    match parameter.domain:
        case IntRange() | FloatRange():
            return replace(parameter, specials=(*parameter.specials, UNSET))
        case Choices(values=values):
            return replace(parameter, domain=Choices(values=(*values, UNSET)))
        case Grid(values=values) as grid:
            return replace(parameter, domain=replace(grid, values=(*values, UNSET)))
        case Fixed(value=value):
            return replace(parameter, domain=Choices(values=(value, UNSET)))


def held_values(space: SearchSpace) -> Assignment:
    """The parameters of a space that have one value, with it; none of alternatives, nor conditional ones."""
    return {
        each.name: value_at(each, 0)
        for each in space.parameters
        if not each.conditions and parameter_size(each) == 1
    }


class ModelledSpace:
    """A modelling space as rows of numbers.

    Args:
        space: as from `modelling_space`; grids count as the ranges they span.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = hull_space(space)
        self._may_be_unset = [
            each.name
            for each in self.space.parameters
            if not each.conditions and parameter_contains(each, UNSET)
        ]

    @property
    def n_dims(self) -> int:
        """Dimensions of a row."""
        return n_dims(self.space)

    def contains(self, point: Assignment) -> bool:
        """Whether a point can be encoded."""
        return contains(self.space, self.seen(point))

    def rows(self, points: Sequence[Assignment]) -> FloatArray:
        """Encodes points. Returns: float64, shape (n_points, n_dims), every value in [0, 1].

        Raises: OutOfSpace: a point lies outside.
        """
        return to_unit_cube(self.space, [self.seen(each) for each in points])

    def seen(self, point: Assignment) -> Assignment:
        """The point with UNSET for what it says nothing of, and might."""
        if all(name in point for name in self._may_be_unset):
            return point
        return {**dict.fromkeys(self._may_be_unset, UNSET), **point}

    def sets(self, point: Assignment, box: SearchSpace) -> bool:
        """Whether a point says something of every parameter that a stage's space has."""
        return all(name in point for name in self._may_be_unset if name in box.names)

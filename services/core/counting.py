"""Counting the points of a space, and finding one by its place, without building the others.

A space is a product of parts: trees of parameters joined by conditions, webs in which some have
several parents, and groups joined by a constraint. A tree's size is the sum over its root's values of
the product of the trees below that are active there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from services.core.constraints import ordered_places, summing_places
from services.core.pipeline_order import pipeline_name
from services.core.space import (
    Constraint,
    Domain,
    FloatRange,
    IntRange,
    Parameter,
    SearchSpace,
    SumToOne,
    Value,
    parameter_size,
    place_of,
    value_at,
)
from services.core.webs import Web, webs_of

_Children: TypeAlias = dict[str, list[Parameter]]
# Sizes of trees by their root's name: a tree that several values of its parent wake is counted once.
# In a chain of such parameters every level would otherwise double the work.
_Sizes: TypeAlias = dict[str, int | None]


def cardinality(space: SearchSpace) -> int | None:
    """Counts the points of a space, never by building it; None when infinite.

    Of finite groups under a constraint the members' combinations are gone through, once. A point that
    several alternatives hold counts in each.
    """
    if space.alternatives:
        return _sum(cardinality(each) for each in space.alternatives)
    children = _children(space)
    sizes: _Sizes = {}
    return _product(
        [
            *(_tree_size(each, children, sizes) for each in _roots(space)),
            *(each.size for each in webs_of(space)),
            *(_group_size(space, each) for each in space.constraints),
        ]
    )


def point_at_index(space: SearchSpace, index: int) -> dict[str, Value]:
    """Returns a point of a finite space by its place.

    Parts are sorted as the parameters of a Pipeline are, the last one varying fastest; below one
    value of a root its active trees follow in the same way. In a web parents vary more slowly than
    children. Alternatives follow one another.

    Raises: IndexError: there is no such point. ValueError: the space is infinite.
    """
    size = cardinality(space)
    if size is None:
        raise ValueError("an infinite space has no points by place")
    if not 0 <= index < size:
        raise IndexError(f"the space has {size} points, none at {index}")
    if space.alternatives:
        for each in space.alternatives:
            own = cardinality(each) or 0
            if index < own:
                return point_at_index(each, index)
            index -= own
    children = _children(space)
    parts: list[tuple[str, Parameter | Constraint | Web]] = [
        *((pipeline_name(each), each) for each in _roots(space)),
        *((pipeline_name(each.parameters[0]), each) for each in webs_of(space)),
        *((min(map(pipeline_name, members(space, each))), each) for each in space.constraints),
    ]
    point: dict[str, Value] = {}
    sizes: _Sizes = {}
    rest = index
    for _, part in sorted(parts, key=lambda each: each[0], reverse=True):
        if isinstance(part, Parameter):
            rest, place = divmod(rest, _tree_size(part, children, sizes) or 1)
            _unrank(part, place, children, point, sizes)
        elif isinstance(part, Web):
            rest, place = divmod(rest, part.size or 1)
            point.update(part.at(place))
        else:
            places = group_places(space, part) or ()
            rest, place = divmod(rest, len(places))
            for member, chosen in zip(members(space, part), places[place], strict=True):
                point[member.name] = value_at(member, chosen)
    return {name: point[name] for name in space.names if name in point}


def members(space: SearchSpace, constraint: Constraint) -> list[Parameter]:
    """The parameters of a group, in its order."""
    known = {each.name: each for each in space.parameters}
    return [known[name] for name in constraint.names]


def values_in_grid(parameter: Parameter, resolution: int) -> int:
    """Counts the values a grid search tries of a parameter; of a group's member it may be one more."""
    size = parameter_size(parameter)
    if size is None or (size > resolution and not is_lattice(parameter.domain)):
        return resolution + len(parameter.specials)
    return size


def is_lattice(domain: Domain) -> bool:
    """Whether a grid search tries all values of a domain, however many: of ranges those with a step."""
    if isinstance(domain, IntRange):
        return domain.step != 1
    return not isinstance(domain, FloatRange) or domain.step is not None


def group_places(space: SearchSpace, constraint: Constraint) -> Sequence[tuple[int, ...]] | None:
    """The places of the members' values that meet a constraint; None when a member is infinite."""
    group = [(each, parameter_size(each)) for each in members(space, constraint)]
    if any(size is None for _, size in group):
        return None
    values: list[tuple[float, ...]] = []
    for member, size in group:
        numbers = (value_at(member, place) for place in range(size or 0))
        values.append(
            tuple(each if isinstance(each, int | float) else math.nan for each in numbers)
        )
    if isinstance(constraint, SumToOne):
        return summing_places(tuple(values))
    return ordered_places(tuple(values))


def _roots(space: SearchSpace) -> list[Parameter]:
    elsewhere = {name for each in space.constraints for name in each.names}
    elsewhere |= {name for each in webs_of(space) for name in each.names}
    return [each for each in space.parameters if not each.conditions and each.name not in elsewhere]


def _children(space: SearchSpace) -> _Children:
    found: _Children = {}
    for each in sorted(space.parameters, key=pipeline_name):
        for parent in each.parents:
            found.setdefault(parent, []).append(each)
    return found


def _product(sizes: Iterable[int | None]) -> int | None:
    known = list(sizes)
    points = math.prod(each for each in known if each is not None)
    return None if points and None in known else points


def _sum(sizes: Iterable[int | None]) -> int | None:
    known = list(sizes)
    return None if None in known else sum(each for each in known if each is not None)


def _group_size(space: SearchSpace, constraint: Constraint) -> int | None:
    places = group_places(space, constraint)
    return None if places is None else len(places)


def _tree_size(parameter: Parameter, children: _Children, sizes: _Sizes) -> int | None:
    if parameter.name not in sizes:
        sizes[parameter.name] = _counted(parameter, children, sizes)
    return sizes[parameter.name]


def _counted(parameter: Parameter, children: _Children, sizes: _Sizes) -> int | None:
    size = parameter_size(parameter)
    if size is None:
        return None
    turns = _turns(parameter, children)
    below = [
        _product(_tree_size(child, children, sizes) for child in active) for _, active in turns
    ]
    if None in below:
        return None
    return size - len(turns) + sum(each for each in below if each is not None)


def _turns(parameter: Parameter, children: _Children) -> list[tuple[int, list[Parameter]]]:
    """The places of the values at which children are active, in order, and which those are."""
    found: dict[int, list[Parameter]] = {}
    for child in children.get(parameter.name, ()):
        for value in (value for each in child.conditions for value in each.values):
            place = place_of(parameter, value)
            if place is not None and child not in found.setdefault(place, []):
                found[place].append(child)
    return sorted(found.items(), key=lambda each: each[0])


def _unrank(
    parameter: Parameter,
    index: int,
    children: _Children,
    point: dict[str, Value],
    known: _Sizes,
) -> None:
    """Sets the values of a tree's point by its place in the tree."""
    passed = 0
    start = 0
    for place, active in _turns(parameter, children):
        before = place - passed
        if index < start + before:
            break
        start += before
        sizes = [_tree_size(child, children, known) or 1 for child in active]
        below = math.prod(sizes)
        if index < start + below:
            point[parameter.name] = value_at(parameter, place)
            rest = index - start
            for child, size in zip(reversed(active), reversed(sizes), strict=True):
                rest, inner = divmod(rest, size)
                _unrank(child, inner, children, point, known)
            return
        start += below
        passed = place + 1
    point[parameter.name] = value_at(parameter, passed + index - start)

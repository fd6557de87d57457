"""Encoding: points of a space as rows of numbers in [0, 1], for numeric models, and back.

A range takes one dimension on its scale, with one more for each special value beside it; Choices and
Grid take one per value (one-hot); what has a single value takes none. Where a parameter is not active
its range stands in the middle and none of its values is set. Of alternatives each has dimensions of
its own behind one that says which of them holds the point; the others stand as if nothing were active.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from services.core.containment import require_contained
from services.core.sampling import sample, sample_value
from services.core.scale import from_unit, to_unit
from services.core.settling import settled
from services.core.space import (
    Assignment,
    Choices,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    Value,
    alternative_at,
    contains,
    domain_size,
    is_member,
    lattice_value,
    parameter_contains,
    parameter_size,
    same_value,
    value_at,
)

FloatArray: TypeAlias = npt.NDArray[np.float64]

# Where a range's dimension lies while a special value beside it is chosen, or it is not active.
_INACTIVE = 0.5

# Chance that a local move replaces a range by a special value, or a special by another value.
_SPECIAL_CHANCE = 0.2

# Chance that a local move leaves the alternative it starts in.
_ELSEWHERE_CHANCE = 0.1


@dataclass(frozen=True, slots=True)
class Block:
    """Dimensions that say one thing of a point together.

    Attributes:
        width: how many, at least 1.
        one_hot: they are indicators of which at most one is set; else the block is a range's place.
    """

    width: int
    one_hot: bool


def blocks(space: SearchSpace) -> list[Block]:
    """Divides the dimensions of a space's encoding, in their order."""
    found: list[Block] = []
    if space.alternatives:
        found.append(Block(len(space.alternatives), one_hot=True))
    for each in space.alternatives:
        found += blocks(each)
    for parameter in space.parameters:
        width = _width(parameter)
        if width and isinstance(parameter.domain, IntRange | FloatRange):
            found.append(Block(1, one_hot=False))
            width -= 1
        if width:
            found.append(Block(width, one_hot=True))
    return found


def n_dims(space: SearchSpace) -> int:
    """Counts the dimensions of a space's encoding."""
    own = sum(_width(each) for each in space.parameters)
    return own + sum(1 + n_dims(each) for each in space.alternatives)


def to_unit_cube(space: SearchSpace, points: Sequence[Assignment]) -> FloatArray:
    """Encodes points for a numeric model.

    Returns: float64 array, shape (n_points, n_dims(space)), every value in [0, 1].
    Raises: OutOfSpace: a point lies outside `space`; `violations` names each parameter.
    """
    rows = np.empty((len(points), n_dims(space)), dtype=np.float64)
    for row, point in zip(rows, points, strict=True):
        if not contains(space, point):
            # Only now the slower look at what is wrong with it.
            require_contained(space, point)
        row[:] = _row(space, point)
    return rows


def _row(space: SearchSpace, point: Assignment) -> list[float]:
    if space.alternatives:
        chosen = alternative_at(space, point)
        cells = [float(place == chosen) for place in range(len(space.alternatives))]
        for place, each in enumerate(space.alternatives):
            cells += _row(each, point if place == chosen else {})
        return cells
    return [
        cell
        for each in space.parameters
        for cell in (_encode(each, point[each.name]) if each.name in point else _inactive(each))
    ]


def from_unit_cube(space: SearchSpace, rows: FloatArray) -> list[dict[str, Value]]:
    """Decodes rows to points of the space: the nearest value of each range, the largest indicator.

    Args:
        rows: float64 array, shape (n_points, n_dims(space)); values outside [0, 1] are clipped.

    Raises: ValueError: the shape is another one.
    """
    if rows.ndim != 2 or rows.shape[1] != n_dims(space):
        raise ValueError(f"rows have shape {rows.shape}, not (n, {n_dims(space)})")
    return [_point(space, row) for row in np.clip(rows, 0.0, 1.0)]


def _point(space: SearchSpace, row: FloatArray) -> dict[str, Value]:
    start = len(space.alternatives)
    if start:
        chosen = int(np.argmax(row[:start]))
        start += sum(n_dims(each) for each in space.alternatives[:chosen])
        taken = space.alternatives[chosen]
        return _point(taken, row[start : start + n_dims(taken)])
    point: dict[str, Value] = {}
    for parameter in space.parameters:
        stop = start + _width(parameter)
        point[parameter.name] = _decode(parameter, row[start:stop])
        start = stop
    return settled(space, point)


def neighbours(
    space: SearchSpace,
    point: Assignment,
    rng: np.random.Generator,
    scale: float,
    count: int = 1,
) -> list[dict[str, Value]]:
    """Draws points of the space near a point: one or more parameters moved, the others kept.

    What a move makes active is drawn at random; numbers under a constraint are settled. Now and then a
    point comes from anywhere in the alternatives: nothing in one is near to another.

    Args:
        point: the centre; values of it outside `space` are replaced by values inside.
        scale: standard deviation of a move, as a share of a range; in (0, 1].
        count: number of points; they may repeat.
    """
    if space.alternatives:
        held = alternative_at(space, point)
        return [
            dict(sample(space, rng))
            if held is None or rng.random() < _ELSEWHERE_CHANCE
            else neighbours(space.alternatives[held], point, rng, scale)[0]
            for _ in range(count)
        ]
    moving = [
        place
        for place, each in enumerate(space.parameters)
        if parameter_size(each) != 1 and (not each.conditions or each.name in point)
    ]
    found = []
    for _ in range(count):
        moved = set()
        if moving:
            # One parameter at least, on average two: joint moves cross valleys, single ones refine.
            chosen = rng.random(len(moving)) < 1 / len(moving)
            moved = {place for place, take in zip(moving, chosen, strict=True) if take}
            moved.add(moving[int(rng.integers(len(moving)))])
        values = {
            each.name: _moved(each, point.get(each.name), rng, scale)
            if place in moved
            else _kept(each, point[each.name], rng)
            if each.name in point
            else sample_value(each, rng)
            for place, each in enumerate(space.parameters)
        }
        found.append(settled(space, values))
    return found


def _width(parameter: Parameter) -> int:
    if parameter_size(parameter) == 1:
        return 0
    match parameter.domain:
        case Fixed():
            return 0
        case Choices(values=values) | Grid(values=values):
            return len(values)
        case IntRange() | FloatRange():
            return 1 + len(parameter.specials)


def _encode(parameter: Parameter, value: Value) -> list[float]:
    width = _width(parameter)
    if width == 0:
        return []
    match parameter.domain:
        case Choices(values=values) | Grid(values=values):
            return [float(same_value(value, each)) for each in values]
        case IntRange() | FloatRange() as domain:
            specials = [float(same_value(value, each)) for each in parameter.specials]
            if any(specials) or not isinstance(value, int | float):
                return [_INACTIVE, *specials]
            return [to_unit(domain, value), *specials]
        case _:
            return []


def _inactive(parameter: Parameter) -> list[float]:
    width = _width(parameter)
    if width and isinstance(parameter.domain, IntRange | FloatRange):
        return [_INACTIVE, *[0.0] * (width - 1)]
    return [0.0] * width


def _decode(parameter: Parameter, cells: FloatArray) -> Value:
    if len(cells) == 0:
        return value_at(parameter, 0)
    match parameter.domain:
        case Fixed(value=value):
            return value
        case Choices(values=values) | Grid(values=values):
            return values[int(np.argmax(cells))]
        case IntRange() | FloatRange() as domain:
            if len(cells) > 1 and cells[1:].max() > 0.5:
                return parameter.specials[int(np.argmax(cells[1:]))]
            return from_unit(domain, float(cells[0]))


def _kept(parameter: Parameter, value: Value, rng: np.random.Generator) -> Value:
    if parameter_contains(parameter, value):
        return value
    domain = parameter.domain
    if isinstance(domain, IntRange | FloatRange) and isinstance(value, int | float):
        return from_unit(domain, to_unit(domain, max(value, domain.low)))
    return sample_value(parameter, rng)


def _moved(parameter: Parameter, value: Value, rng: np.random.Generator, scale: float) -> Value:
    domain = parameter.domain
    if not isinstance(domain, IntRange | FloatRange):
        return _another(parameter, value, rng)
    if is_member(value, parameter.specials) or not isinstance(value, int | float):
        return sample_value(parameter, rng)
    if parameter.specials and rng.random() < _SPECIAL_CHANCE:
        return parameter.specials[int(rng.integers(len(parameter.specials)))]
    start = to_unit(domain, max(value, domain.low))
    moved = from_unit(domain, min(max(start + scale * float(rng.standard_normal()), 0.0), 1.0))
    size = domain_size(domain)
    if size is not None and size > 1 and same_value(moved, value):
        # A move shorter than the lattice's step would be none.
        step = domain.step or 1
        place = round((value - domain.low) / step) + (1 if rng.random() < 0.5 else -1)
        if place < 0:
            place = 1
        return lattice_value(domain, place if place < size else size - 2)
    return moved


def _another(parameter: Parameter, value: Value, rng: np.random.Generator) -> Value:
    size = parameter_size(parameter) or 1
    others = [
        each
        for each in (value_at(parameter, place) for place in range(size))
        if not same_value(each, value)
    ]
    return others[int(rng.integers(len(others)))] if others else value

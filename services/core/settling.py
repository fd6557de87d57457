"""Settling: a value for every parameter made into a point of the space.

What is not active is left out, and numbers under a constraint are moved until it is met.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from services.core.constraints import scaled_to_one
from services.core.counting import group_places, members
from services.core.space import (
    Assignment,
    Constraint,
    Fixed,
    FloatRange,
    IntRange,
    Ordered,
    Parameter,
    SearchSpace,
    Value,
    active_parameters,
    constraint_met,
    domain_size,
    lattice_value,
    value_at,
)

_LATTICE_TOLERANCE = 1e-9


def settled(space: SearchSpace, values: Assignment) -> dict[str, Value]:
    """Makes a point of the space from a value for every parameter.

    Sums to one are met by the nearest numbers, orders by raising what is below the number before it.

    Args:
        values: by name, each allowed by its parameter; those of parameters not active are dropped.

    Raises: ValueError: no numbers meet a constraint.
    """
    active = {each.name for each in active_parameters(space, values)}
    point = {name: values[name] for name in space.names if name in active}
    for constraint in space.constraints:
        if not constraint_met(constraint, point):
            group = members(space, constraint)
            numbers = _settled_group(space, constraint, group, [point[each.name] for each in group])
            point.update(zip(constraint.names, numbers, strict=True))
    return point


def can_be_met(space: SearchSpace, constraint: Constraint) -> bool:
    """Whether the space has numbers that meet a constraint."""
    group = members(space, constraint)
    try:
        numbers = _settled_group(space, constraint, group, [_bounds(each)[0] for each in group])
    except ValueError:
        return False
    return constraint_met(constraint, dict(zip(constraint.names, numbers, strict=True)))


def _settled_group(
    space: SearchSpace, constraint: Constraint, group: Sequence[Parameter], values: Sequence[Value]
) -> Sequence[Value]:
    numbers = [float(each) if isinstance(each, int | float) else 0.0 for each in values]
    if isinstance(constraint, Ordered) and all(
        isinstance(each.domain, IntRange | FloatRange) for each in group
    ):
        return _raised(group, numbers)
    if all(isinstance(each.domain, FloatRange) and each.domain.step is None for each in group):
        bounds = [_bounds(each) for each in group]
        return scaled_to_one(numbers, [low for low, _ in bounds], [high for _, high in bounds])
    places = group_places(space, constraint)
    if not places:
        raise ValueError(f"no values of {', '.join(constraint.names)} meet their constraint")
    candidates = (
        [value_at(each, place) for each, place in zip(group, chosen, strict=True)]
        for chosen in places
    )
    return min(candidates, key=lambda each: _distance(each, numbers))


def _distance(values: Sequence[Value], numbers: Sequence[float]) -> float:
    return sum(
        abs(value - number)
        for value, number in zip(values, numbers, strict=True)
        if isinstance(value, int | float)
    )


def _bounds(parameter: Parameter) -> tuple[float, float]:
    domain = parameter.domain
    if isinstance(domain, IntRange | FloatRange):
        return domain.low, domain.high
    values = (domain.value,) if isinstance(domain, Fixed) else domain.values
    numbers = [each for each in values if isinstance(each, int | float)]
    return min(numbers, default=math.nan), max(numbers, default=math.nan)


def _raised(group: Sequence[Parameter], numbers: Sequence[float]) -> list[int | float]:
    """Puts numbers in order: none above what those behind it can reach, none below the one before."""
    domains = [each.domain for each in group if isinstance(each.domain, IntRange | FloatRange)]
    caps: list[float] = []
    for domain in reversed(domains):
        caps.append(_down(domain, min(domain.high, caps[-1] if caps else math.inf)))
    caps.reverse()
    found: list[int | float] = []
    for domain, number, cap in zip(domains, numbers, caps, strict=True):
        least = _up(domain, max(domain.low, found[-1] if found else -math.inf))
        if least > cap:
            raise ValueError(f"no values of {', '.join(e.name for e in group)} are in order")
        found.append(_up(domain, min(max(number, least), cap)))
    return found


def _down(domain: IntRange | FloatRange, value: float) -> int | float:
    """The highest value of a range that is at most `value`; the lowest when there is none."""
    size = domain_size(domain)
    if size is None:
        return max(min(value, domain.high), domain.low)
    step = domain.step or 1
    place = min(math.floor((value - domain.low) / step + _LATTICE_TOLERANCE), size - 1)
    while place > 0 and lattice_value(domain, place) > value:
        place -= 1
    return lattice_value(domain, max(place, 0))


def _up(domain: IntRange | FloatRange, value: float) -> int | float:
    """The lowest value of a range that is at least `value`; infinity when there is none."""
    size = domain_size(domain)
    if size is None:
        return math.inf if value > domain.high else max(float(value), domain.low)
    step = domain.step or 1
    place = max(math.ceil((value - domain.low) / step - _LATTICE_TOLERANCE), 0)
    while place < size and lattice_value(domain, place) < value:
        place += 1
    return lattice_value(domain, place) if place < size else math.inf

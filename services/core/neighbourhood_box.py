"""The part of a space within a radius of a point, for local searches."""

from __future__ import annotations

from dataclasses import replace

from services.core.scale import from_unit, to_unit
from services.core.space import (
    Assignment,
    FloatRange,
    IntRange,
    Parameter,
    SearchSpace,
    Value,
    alternative_at,
    domain_size,
    lattice_value,
)


def box_around(space: SearchSpace, centre: Assignment, radius: float) -> SearchSpace:
    """Returns the points whose every number lies within a radius of a centre's.

    A range reaches as far on its scale on either side, at least to the next value of a lattice, and
    keeps to the space. Values without an order have no distance: all of them stay, as does a whole
    range where the centre has a special value, or none since it is not active there. Of alternatives the
    one that holds the centre is searched.

    Args:
        centre: a point of `space`.
        radius: share of each range's width, in (0, 1].

    Raises: ValueError: the radius is outside (0, 1].
    """
    if not 0 < radius <= 1:
        raise ValueError(f"radius {radius} is outside (0, 1]")
    space = space.parts[alternative_at(space, centre) or 0]
    return replace(
        space,
        parameters=tuple(
            _near(each, centre[each.name], radius) if each.name in centre else each
            for each in space.parameters
        ),
    )


def _near(parameter: Parameter, value: Value, radius: float) -> Parameter:
    domain = parameter.domain
    if not isinstance(domain, IntRange | FloatRange):
        return parameter
    if isinstance(value, bool) or not isinstance(value, int | float):
        return parameter
    place = to_unit(domain, value)
    low = from_unit(domain, max(place - radius, 0.0))
    high = from_unit(domain, min(place + radius, 1.0))
    size = domain_size(domain)
    if size is not None and size > 1:
        step = domain.step or (domain.high - domain.low)
        at = round((value - domain.low) / step)
        low = min(low, lattice_value(domain, max(at - 1, 0)))
        high = max(high, lattice_value(domain, min(at + 1, size - 1)))
    # Rounding must not push the centre out of its own box.
    low, high = min(low, value), max(high, value)
    if isinstance(domain, IntRange):
        return replace(parameter, domain=replace(domain, low=int(low), high=int(high)))
    return replace(parameter, domain=replace(domain, low=float(low), high=float(high)))

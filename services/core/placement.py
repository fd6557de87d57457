"""Placement: points of a space by a place in [0, 1) per parameter, for sequences that fill a cube."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.core.scale import from_unit_in_cells
from services.core.settling import settled
from services.core.space import (
    Assignment,
    FloatRange,
    IntRange,
    Parameter,
    SearchSpace,
    Value,
    domain_size,
    parameter_size,
    value_at,
)

RANGE_WEIGHT: Final = 3
"""Values a range counts as beside its specials: null beside a range is tried in a quarter of the points,
about as often as one value of a usual grid."""


WHICH_ALTERNATIVE: Final = " alternative"
"""Names the place that chooses among alternatives. No parameter has a space in its name."""


def alternative_name(place: int, name: str) -> str:
    """Names what belongs to a parameter of one of several alternatives."""
    return f"{place} {name}"


def place_names(space: SearchSpace) -> list[str]:
    """Names the places that `point_at` takes."""
    if not space.alternatives:
        return [each.name for each in searched_parameters(space)]
    return [
        WHICH_ALTERNATIVE,
        *(
            alternative_name(place, name)
            for place, each in enumerate(space.alternatives)
            for name in place_names(each)
        ),
    ]


def searched_parameters(space: SearchSpace) -> tuple[Parameter, ...]:
    """The parameters with more than one value, in the space's order; none of alternatives."""
    return tuple(each for each in space.parameters if parameter_size(each) != 1)


def point_at(space: SearchSpace, places: Mapping[str, float]) -> Assignment:
    """Returns the point at a place of every searched parameter; equal places hold equal shares.

    Values of parameters that are not active there are dropped, numbers under a constraint settled. Each
    alternative has an equal share.

    Args:
        places: by name (`place_names`), in [0, 1); parameters of a single value need none.
    """
    if space.alternatives:
        count = len(space.alternatives)
        chosen = min(int(places[WHICH_ALTERNATIVE] * count), count - 1)
        taken = space.alternatives[chosen]
        own = {name: places[alternative_name(chosen, name)] for name in place_names(taken)}
        return point_at(taken, own)
    values = {
        each.name: value_at(each, 0)
        if parameter_size(each) == 1
        else _value(each, places[each.name])
        for each in space.parameters
    }
    return settled(space, values)


def _value(parameter: Parameter, place: float) -> Value:
    domain = parameter.domain
    if not isinstance(domain, IntRange | FloatRange):
        size = parameter_size(parameter) or 1
        return value_at(parameter, min(int(place * size), size - 1))
    if not parameter.specials:
        return from_unit_in_cells(domain, place)
    weight = min(domain_size(domain) or RANGE_WEIGHT, RANGE_WEIGHT)
    scaled = place * (weight + len(parameter.specials))
    if scaled >= weight:
        special = min(int(scaled) - weight, len(parameter.specials) - 1)
        return parameter.specials[special]
    return from_unit_in_cells(domain, scaled / weight)

"""Ranges over orders of magnitude that were asked for on a linear scale.

Where the good values of such a range lie among its small ones, all of them are next to one end: a list
such as `[0.00001, 0.001, 0.1, 1]` whose ratios differ, or a plain `uniform(0.00001, 1)`.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import Final

from services.core.space import FloatRange, IntRange, Parameter, SearchSpace

_WIDE: Final = 100.0


def wide_ranges(space: SearchSpace) -> frozenset[str]:
    """Names the linear ranges above 0 whose high end is a hundred times the low one, or more.

    Not those with a step, for a lattice means its places, and none whose number is bound to others.
    """
    return frozenset(
        each.name
        for part in space.parts
        for each in part.parameters
        if (domain := _linear_range(part, each)) is not None and domain.high >= _WIDE * domain.low
    )


def with_logarithmic(space: SearchSpace, names: Container[str]) -> SearchSpace:
    """Returns the space with the same points and some of its linear ranges on a logarithmic scale.

    Args:
        names: those of `wide_ranges` of this space, or of one that encloses it.
    """
    return replace(
        space,
        parameters=tuple(
            replace(each, domain=replace(domain, log=True))
            if each.name in names and (domain := _linear_range(space, each)) is not None
            else each
            for each in space.parameters
        ),
        alternatives=tuple(with_logarithmic(each, names) for each in space.alternatives),
    )


def _linear_range(space: SearchSpace, parameter: Parameter) -> FloatRange | IntRange | None:
    """The parameter's range if it is linear and could be logarithmic as well."""
    domain = parameter.domain
    if any(parameter.name in each.names for each in space.constraints):
        return None
    if not isinstance(domain, FloatRange | IntRange) or domain.log or domain.low <= 0:
        return None
    plain = None if isinstance(domain, FloatRange) else 1
    return domain if domain.step == plain else None

"""Spreads: what a preset tries of one parameter, and the grid that stands for ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.core.scale import from_unit
from services.core.space import (
    Choices,
    Domain,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    Value,
    is_member,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The values of one parameter; `specials` are values beside a range."""

    domain: Domain
    specials: tuple[Value, ...] = ()


def ints(low: int, high: int, *, log: bool = False, beside: Sequence[Value] = ()) -> Spread:
    """Whole numbers from `low` to `high`."""
    return Spread(domain=IntRange(low=low, high=high, log=log), specials=tuple(beside))


def floats(low: float, high: float, *, log: bool = False, beside: Sequence[Value] = ()) -> Spread:
    """Numbers from `low` to `high`."""
    return Spread(domain=FloatRange(low=low, high=high, log=log), specials=tuple(beside))


def choose(*values: Value) -> Spread:
    """Any of some values, the likeliest first."""
    return Spread(domain=Choices(values=values))


def exactly(value: Value) -> Spread:
    """One value, set whatever the library's own default is."""
    return Spread(domain=Fixed(value=value))


def space_of(spreads: Mapping[str, Spread]) -> SearchSpace:
    """Makes the space of spreads by parameter name."""
    return SearchSpace.of(
        Parameter(name=name, domain=each.domain, specials=each.specials)
        for name, each in spreads.items()
    )


def grid_of(spreads: Mapping[str, Spread], max_points: int) -> SearchSpace:
    """Makes a grid of spreads, of at most so many points.

    Every parameter begins with one value: the middle of its range on the range's scale, or its first
    choice. Then, in the order given, each takes its next larger set of values while the product stays
    within the limit, round after round: both ends and the special values, then the middle with them; of
    choices one more each time. So the first parameters are tried most finely.

    Args:
        spreads: by parameter name, the most important first.
        max_points: ≥ 1.
    """
    ladders = {name: _ladder(each) for name, each in spreads.items()}
    steps = dict.fromkeys(spreads, 0)
    for _ in range(max((len(each) for each in ladders.values()), default=1) - 1):
        for name, ladder in ladders.items():
            if steps[name] + 1 == len(ladder):
                continue
            taken = {**steps, name: steps[name] + 1}
            if math.prod(len(ladders[each][step]) for each, step in taken.items()) <= max_points:
                steps = taken
    return SearchSpace.of(
        Parameter(name=name, domain=Grid(values=ladders[name][step]))
        for name, step in steps.items()
    )


def _ladder(spread: Spread) -> list[tuple[Value, ...]]:
    domain = spread.domain
    match domain:
        case Fixed(value=value):
            return [(value,)]
        case Choices(values=values) | Grid(values=values):
            return [values[:count] for count in range(1, len(values) + 1)]
        case IntRange() | FloatRange():
            middle = _middle(domain)
            ends = _distinct([domain.low, domain.high, *spread.specials])
            whole = _distinct([domain.low, middle, domain.high, *spread.specials])
            return [(middle,), ends, *([whole] if len(whole) > len(ends) else [])]


def _middle(domain: IntRange | FloatRange) -> int | float:
    """The middle on the range's scale; of floats three digits, which people read and compare."""
    middle = from_unit(domain, 0.5)
    if isinstance(domain, IntRange):
        return middle
    return min(max(float(f"{middle:.3g}"), domain.low), domain.high)


def _distinct(values: Sequence[Value]) -> tuple[Value, ...]:
    kept: list[Value] = []
    for each in values:
        if not is_member(each, kept):
            kept.append(each)
    return tuple(kept)

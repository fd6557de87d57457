"""Hulls: the ranges that lists of values span, for the searchers that go between the values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from services.core.space import (
    Choices,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    Value,
)

_LOG_SPAN = 10.0
_LOG_EVENNESS = 2.0


def hull_space(space: SearchSpace) -> SearchSpace:
    """Returns the space with each grid widened to the range it spans."""
    return replace(
        space,
        parameters=tuple(hull(each) for each in space.parameters),
        alternatives=tuple(hull_space(each) for each in space.alternatives),
    )


def hull(parameter: Parameter) -> Parameter:
    """Returns the range a grid's numbers span, its other values as specials.

    A list of ints spans an int range, a list of floats a float range. One that mixes ints and
    floats mixes counts and fractions (`max_features: [2, 0.5]`), has no common scale, and becomes
    Choices, as does one with fewer than two numbers. One value becomes Fixed. Parameters that are
    no grid are returned as they are. The range is logarithmic where the list says so, or reads so.
    """
    domain = parameter.domain
    if not isinstance(domain, Grid):
        return parameter
    values = domain.values
    if len(values) == 1:
        return replace(parameter, domain=Fixed(value=values[0]))
    numbers = range_numbers(values)
    if not numbers:
        return replace(parameter, domain=Choices(values=values))
    log = spans_log_scale(numbers) if domain.log is None else domain.log
    ints = [each for each in numbers if isinstance(each, int)]
    low, high = min(numbers), max(numbers)
    return replace(
        parameter,
        domain=IntRange(low=int(low), high=int(high), log=log)
        if ints
        else FloatRange(low=low, high=high, log=log),
        specials=tuple(each for each in values if not _is_number(each)),
    )


def range_numbers(values: Sequence[Value]) -> list[int] | list[float]:
    """The numbers whose range a list of values spans; empty where it spans none.

    It spans one by two or more different numbers, all of them ints or all of them floats.
    """
    ints = [each for each in values if isinstance(each, int) and not isinstance(each, bool)]
    floats = [each for each in values if isinstance(each, float)]
    if (ints and floats) or len(set(ints)) + len(set(floats)) < 2:
        return []
    return ints or floats


def read_as_log(space: SearchSpace) -> list[Parameter]:
    """The lists of numbers whose ranges are logarithmic because they read so, by name."""
    found: dict[str, Parameter] = {}
    for part in space.parts:
        for each in part.parameters:
            spanned = hull(each).domain
            if (
                isinstance(each.domain, Grid)
                and each.domain.log is None
                and isinstance(spanned, IntRange | FloatRange)
                and spanned.log
            ):
                found.setdefault(each.name, each)
    return [found[name] for name in sorted(found)]


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def spans_log_scale(values: Sequence[float]) -> bool:
    """Whether a list of numbers reads as logarithmic.

    It does when all are above 0, the largest is at least ten times the smallest, and, with three or
    more values, the largest ratio of neighbours is at most twice the smallest: [0.1, 1, 10] does,
    [10, 100, 200] does not.
    """
    ordered = sorted(set(values))
    if len(ordered) < 2 or ordered[0] <= 0 or ordered[-1] / ordered[0] < _LOG_SPAN:
        return False
    # Differences of ratios in the last digits must not decide: 10 / 1 and 1 / 0.1 are the same.
    ratios = [high / low for low, high in pairwise(ordered)]
    return max(ratios) / min(ratios) <= _LOG_EVENNESS * (1 + 1e-9)

"""Hulls: the ranges that lists of values span, for the searchers that go between the values."""

from __future__ import annotations

from collections.abc import Sequence
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
    return SearchSpace(parameters=tuple(hull(each) for each in space.parameters))


def hull(parameter: Parameter) -> Parameter:
    """Returns the range a grid's numbers span, its other values as specials.

    A list of ints spans an int range, a list of floats a float range. One that mixes ints and
    floats mixes counts and fractions (`max_features: [2, 0.5]`), has no common scale, and becomes
    Choices, as does one with fewer than two numbers. One value becomes Fixed. Parameters that are
    no grid are returned as they are.
    """
    domain = parameter.domain
    if not isinstance(domain, Grid):
        return parameter
    values = domain.values
    if len(values) == 1:
        return Parameter(name=parameter.name, domain=Fixed(value=values[0]))
    ints = [each for each in values if isinstance(each, int) and not isinstance(each, bool)]
    floats = [each for each in values if isinstance(each, float)]
    distinct = len(set(ints)) + len(set(floats))
    if (ints and floats) or distinct < 2:
        return Parameter(name=parameter.name, domain=Choices(values=values))
    return Parameter(
        name=parameter.name,
        domain=_int_hull(ints) if ints else _float_hull(floats),
        specials=tuple(each for each in values if not _is_number(each)),
    )


def _int_hull(values: Sequence[int]) -> IntRange:
    return IntRange(low=min(values), high=max(values), log=spans_log_scale(values))


def _float_hull(values: Sequence[float]) -> FloatRange:
    return FloatRange(low=min(values), high=max(values), log=spans_log_scale(values))


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

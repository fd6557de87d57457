"""Refined ranges under a constraint: widened again where they left its numbers no room."""

from __future__ import annotations

from dataclasses import replace

from services.core.counting import members
from services.core.settling import can_be_met
from services.core.space import (
    Constraint,
    FloatRange,
    IntRange,
    Parameter,
    SearchSpace,
    domain_size,
    lattice_value,
)

_SHARES = 20


def with_constraints_met(original: SearchSpace, after: SearchSpace) -> SearchSpace:
    """Widens the ranges of each group on both sides, by growing shares of the original's, until it fits.

    Args:
        original: meets its constraints; nothing is widened past its ranges.
        after: ranges inside the original's.
    """
    for constraint in original.constraints:
        share = 0
        widened = after
        while not can_be_met(widened, constraint) and share < _SHARES:
            share += 1
            widened = _widened(original, after, constraint, share / _SHARES)
        after = widened
    return after


def _widened(
    original: SearchSpace, after: SearchSpace, constraint: Constraint, share: float
) -> SearchSpace:
    asked = {each.name: each for each in members(original, constraint)}
    return replace(
        after,
        parameters=tuple(
            _wider(asked[each.name], each, share) if each.name in asked else each
            for each in after.parameters
        ),
    )


def _wider(original: Parameter, after: Parameter, share: float) -> Parameter:
    old, new = original.domain, after.domain
    if not isinstance(old, IntRange | FloatRange) or not isinstance(new, IntRange | FloatRange):
        return original
    if isinstance(old, FloatRange) and old.step is None:
        by = share * (old.high - old.low)
        domain = replace(old, low=max(new.low - by, old.low), high=min(new.high + by, old.high))
        return replace(after, domain=domain)
    size, step = domain_size(old) or 1, old.step or 1
    places = max(round(share * size), 1)
    first = max(round((new.low - old.low) / step) - places, 0)
    last = min(round((new.high - old.low) / step) + places, size - 1)
    low, high = lattice_value(old, first), lattice_value(old, last)
    if isinstance(old, IntRange):
        return replace(after, domain=replace(old, low=int(low), high=int(high)))
    return replace(after, domain=replace(old, low=low, high=high))

"""Narrowing a range around the best of the values that did well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.core.refinement_rules import ADAPTIVE, FIXED
from services.core.scale import to_scale
from services.core.space import (
    FloatRange,
    IntRange,
    domain_contains,
    domain_size,
    lattice_value,
)
from services.core.trial import Trial

# A best this near to an edge, as a share of the range searched, may have its optimum beyond it.
_EDGE_SHARE = 0.05

# Share of a step by which rounding outward forgives a logarithm's last digits.
_LATTICE_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """How far from the best a refined range reaches at least.

    Attributes:
        factor: share of the top values' spread searched on either side.
        evidence_count: successful trials so far.
        searched_count: parameters of the original space with more than one value.
        tried: the trials whose values are the next ones to reach, after a grid stage; None after
            others, where the typical gap between random points takes their place.
        rule: FIXED, or ADAPTIVE for a share of the range that follows the evidence.
    """

    factor: float
    evidence_count: int
    searched_count: int
    tried: tuple[Trial, ...] | None
    rule: str = FIXED

    def reach(self, name: str, domain: IntRange | FloatRange, centre: float) -> tuple[float, float]:
        """Returns the least distance to search below and above a value, on the domain's scale."""
        low, high = to_scale(domain.low, log=domain.log), to_scale(domain.high, log=domain.log)
        place = to_scale(centre, log=domain.log)
        if self.tried is None:
            gap = (high - low) / (2 * self.evidence_count ** (1 / max(self.searched_count, 1)))
            return gap, gap
        # With nothing tried beyond the best, all up to the bound is as unknown as a gap of the grid.
        below, above = low, high
        for trial in self.tried:
            value = trial.parameters.get(name)
            if not isinstance(value, int | float) or not domain_contains(domain, value):
                continue
            if value < centre:
                below = max(below, to_scale(value, log=domain.log))
            elif value > centre:
                above = min(above, to_scale(value, log=domain.log))
        return place - below, above - place


def narrowed(
    name: str,
    original: IntRange | FloatRange,
    current: IntRange | FloatRange,
    values: Sequence[float],
    neighbourhood: Neighbourhood,
) -> IntRange | FloatRange:
    """Returns the range to search next: around the best value, inside the original range.

    Args:
        original: the range as it was asked for; its lattice and its scale are kept.
        current: the range that was searched last.
        values: the top trials' values, best first; not empty.
    """
    log = original.log
    places = [to_scale(each, log=log) for each in values]
    if neighbourhood.rule == ADAPTIVE:
        share = effective_factor(neighbourhood.factor, current, values, log=log)
        spread = share * (to_scale(current.high, log=log) - to_scale(current.low, log=log)) / 2
    else:
        spread = neighbourhood.factor * (max(places) - min(places))
    reach_below, reach_above = neighbourhood.reach(name, original, values[0])
    best = places[0]
    low, high = best - max(spread, reach_below), best + max(spread, reach_above)

    # Near an edge that a refinement drew, the optimum may lie beyond: search as far again there.
    searched_low = to_scale(current.low, log=log)
    searched_high = to_scale(current.high, log=log)
    width = searched_high - searched_low
    if current.low > original.low and best - searched_low <= _EDGE_SHARE * width:
        low = min(low, searched_low - width)
    if current.high < original.high and searched_high - best <= _EDGE_SHARE * width:
        high = max(high, searched_high + width)
    return _on_lattice(original, low, high)


def spread_share(current: IntRange | FloatRange, values: Sequence[float], *, log: bool) -> float:
    """Returns the spread of some values as a share of the range searched, 0 to 1, on its scale."""
    places = [to_scale(each, log=log) for each in values]
    width = to_scale(current.high, log=log) - to_scale(current.low, log=log)
    spread = max(places) - min(places)
    # Points that explore lie outside the range.
    return min(1.0, spread / width) if spread < width else float(spread > 0)


def effective_factor(
    factor: float, current: IntRange | FloatRange, values: Sequence[float], *, log: bool
) -> float:
    """Returns the share of the range to search next, by how spread the top values are.

    f' = f/2 + (1 - f/2) · min(1, s/e), where s is their spread as a share of the range and
    e = (n - 1)/(n + 1) what n independent uniform values would have on average (David & Nagaraja 2003,
    Order Statistics, 2.3). Values that agree narrow the range to f/2; as spread as chance they say
    nothing, and a single one does neither.

    Args:
        factor: f in (0, 1].
        values: the top trials' values; not empty.
        log: whether the range is searched on a logarithmic scale.

    Returns: f' in [f/2, 1].
    """
    expected = (len(values) - 1) / (len(values) + 1)
    agreement = 1.0
    if expected > 0:
        agreement = min(1.0, spread_share(current, values, log=log) / expected)
    return factor / 2 + (1 - factor / 2) * agreement


def _on_lattice(original: IntRange | FloatRange, low: float, high: float) -> IntRange | FloatRange:
    """Clips a range on the original's scale to the original and rounds it outward to its lattice."""
    clipped_low = low <= to_scale(original.low, log=original.log)
    clipped_high = high >= to_scale(original.high, log=original.log)
    lowest: float = original.low if clipped_low else _from_scale(low, log=original.log)
    highest: float = original.high if clipped_high else _from_scale(high, log=original.log)
    lowest = min(max(lowest, original.low), original.high)
    highest = min(max(highest, lowest), original.high)
    if isinstance(original, FloatRange) and original.step is None:
        return FloatRange(low=lowest, high=highest, log=original.log)
    size = domain_size(original) or 1
    step = original.step or 1
    first = math.floor((lowest - original.low) / step + _LATTICE_TOLERANCE)
    last = math.ceil((highest - original.low) / step - _LATTICE_TOLERANCE)
    first, last = max(first, 0), min(last, size - 1)
    bottom, top = lattice_value(original, first), lattice_value(original, max(first, last))
    if isinstance(original, IntRange):
        return IntRange(low=int(bottom), high=int(top), log=original.log, step=original.step)
    return FloatRange(low=bottom, high=top, log=original.log, step=original.step)


def _from_scale(place: float, *, log: bool) -> float:
    return math.exp(place) if log else place

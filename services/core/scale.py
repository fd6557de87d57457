"""Scales: places in a range as numbers in [0, 1], linear or logarithmic, and back onto its lattice."""

from __future__ import annotations

import math

from services.core.space import FloatRange, IntRange, domain_size, lattice_value


def to_scale(value: float, *, log: bool) -> float:
    """Returns a value on its scale: its natural logarithm, or itself."""
    return math.log(value) if log else float(value)


def to_unit(domain: FloatRange | IntRange, value: float) -> float:
    """Returns the place of a value in a range, in [0, 1]; 0.5 in a range of one value."""
    low = to_scale(domain.low, log=domain.log)
    high = to_scale(domain.high, log=domain.log)
    if low >= high:
        return 0.5
    # Halves, since the width of a range may exceed the largest float.
    place = (to_scale(value, log=domain.log) / 2 - low / 2) / (high / 2 - low / 2)
    return min(max(place, 0.0), 1.0)


def from_unit(domain: FloatRange | IntRange, unit: float) -> int | float:
    """Returns the value at a place in [0, 1] of a range, snapped to its lattice."""
    low = to_scale(domain.low, log=domain.log)
    high = to_scale(domain.high, log=domain.log)
    place = low * (1 - unit) + high * unit
    return snap(domain, math.exp(place) if domain.log else place)


def from_unit_in_cells(domain: FloatRange | IntRange, unit: float) -> int | float:
    """As `from_unit`, with equal room for the ends of a lattice.

    Every lattice value owns the cell around it, so that a uniform `unit` gives the first and last
    value their full share instead of half of it.
    """
    size = domain_size(domain)
    if size is None:
        return from_unit(domain, unit)
    if not domain.log:
        return lattice_value(domain, min(int(unit * size), size - 1))
    half = (domain.step or 0) / 2
    # A cell that would reach below 0 has no logarithm.
    low = math.log(max(domain.low - half, domain.low / 2))
    high = math.log(domain.high + half)
    return snap(domain, math.exp(low * (1 - unit) + high * unit))


def snap(domain: FloatRange | IntRange, value: float) -> int | float:
    """Returns the value of a range nearest to a number."""
    size = domain_size(domain)
    if size is None:
        return min(max(float(value), domain.low), domain.high)
    if size == 1 or value <= domain.low:
        return domain.low
    step = domain.step or (domain.high - domain.low)
    return lattice_value(domain, min(round((value - domain.low) / step), size - 1))

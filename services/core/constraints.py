"""Constraints between numbers: sums to one and orders, on plain values and ranges.

What is a member of a group and which values it takes is `space`'s to know; here are the numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

SUM_TOLERANCE: Final = 1e-9
"""How far a sum of floats may miss one."""

_HALVINGS = 200


def sums_to_one(values: Sequence[float]) -> bool:
    """Whether numbers sum to one, but for rounding."""
    return abs(sum(values) - 1.0) <= SUM_TOLERANCE


def is_ordered(values: Sequence[float]) -> bool:
    """Whether no number is above the one that follows it."""
    return all(left <= right for left, right in itertools.pairwise(values))


def sum_can_be_met(lows: Sequence[float], highs: Sequence[float]) -> bool:
    """Whether some numbers between bounds sum to one."""
    return sum(lows) <= 1.0 + SUM_TOLERANCE and sum(highs) >= 1.0 - SUM_TOLERANCE


def order_can_be_met(lows: Sequence[float], highs: Sequence[float]) -> bool:
    """Whether some numbers between bounds are ordered: each can reach the lowest before it."""
    reached = itertools.accumulate(lows, max)
    return all(low <= high for low, high in zip(reached, highs, strict=True))


def scaled_to_one(
    values: Sequence[float], lows: Sequence[float], highs: Sequence[float]
) -> list[float]:
    """Moves numbers by the same distance, each as far as its bounds let it, until they sum to one.

    This is the Euclidean projection onto the simplex cut by a box; the distance is found by halving.

    Raises: ValueError: no numbers between the bounds sum to one.
    """
    if not sum_can_be_met(lows, highs):
        raise ValueError(f"numbers in {list(lows)}–{list(highs)} cannot sum to one")
    bounds = list(zip(values, lows, highs, strict=True))
    least = min(low - value for value, low, _ in bounds)
    most = max(high - value for value, _, high in bounds)
    for _ in range(_HALVINGS):
        middle = (least + most) / 2
        if sum(min(max(value + middle, low), high) for value, low, high in bounds) < 1.0:
            least = middle
        else:
            most = middle
    moved = [min(max(value + most, low), high) for value, low, high in bounds]
    # What halving left over goes to the numbers that have room for it.
    for place, (_, low, high) in enumerate(bounds):
        moved[place] = min(max(moved[place] + 1.0 - sum(moved), low), high)
    return moved


@lru_cache(maxsize=64)
def summing_places(values: tuple[tuple[float, ...], ...]) -> tuple[tuple[int, ...], ...]:
    """Returns the places of lists whose numbers sum to one, in order, the last varying fastest."""
    places = itertools.product(*(range(len(each)) for each in values))
    return tuple(
        chosen
        for chosen in places
        if sums_to_one([each[place] for each, place in zip(values, chosen, strict=True)])
    )


@lru_cache(maxsize=64)
def ordered_places(values: tuple[tuple[float, ...], ...]) -> tuple[tuple[int, ...], ...]:
    """Returns the places of lists whose numbers are ordered, in order, the last varying fastest."""
    found: list[tuple[int, ...]] = [()]
    for member, each in enumerate(values):
        found = [
            (*chosen, place)
            for chosen in found
            for place, value in enumerate(each)
            if not chosen or values[member - 1][chosen[-1]] <= value
        ]
    return tuple(found)

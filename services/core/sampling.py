"""Sampling: random points of a space, from (seed, index) alone."""

from __future__ import annotations

import math
from collections.abc import Container

import numpy as np

from services.core.digest import assignment_digest
from services.core.grid import grid_point
from services.core.scale import from_unit_in_cells
from services.core.space import (
    Assignment,
    Choices,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    Value,
    cardinality,
    domain_size,
)

# A range counts as this many values beside its specials, so null beside a range is tried in a
# quarter of the points, about as often as one value of a usual grid.
_RANGE_WEIGHT = 3

# Rejecting repeats this often before walking a finite space; walking costs one digest a point.
_MAX_REJECTIONS = 32


def generator(seed: int, index: int, attempt: int = 0) -> np.random.Generator:
    """Returns the random generator of one suggestion; negative numbers count from 2^64."""
    words = [each % 2**64 for each in (seed, index, attempt)]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


def sample(space: SearchSpace, rng: np.random.Generator) -> Assignment:
    """Draws a point: lists uniformly, ranges uniformly on their scale and lattice.

    Of a range with specials, each special is drawn as often as one of a few values of the range.
    """
    return {each.name: sample_value(each, rng) for each in space.parameters}


def sample_value(parameter: Parameter, rng: np.random.Generator) -> Value:
    """Draws a value of one parameter."""
    domain = parameter.domain
    match domain:
        case Fixed():
            return domain.value
        case Choices() | Grid():
            return domain.values[int(rng.integers(len(domain.values)))]
        case IntRange() | FloatRange():
            if parameter.specials:
                weight = min(domain_size(domain) or _RANGE_WEIGHT, _RANGE_WEIGHT)
                place = int(rng.integers(weight + len(parameter.specials)))
                if place >= weight:
                    return parameter.specials[place - weight]
            return sample_range(domain, rng)


def sample_range(domain: IntRange | FloatRange, rng: np.random.Generator) -> int | float:
    """Draws from a range, uniformly on its scale and lattice."""
    return from_unit_in_cells(domain, float(rng.random()))


def sample_without_repeat(
    space: SearchSpace, seed: int, index: int, taken: Container[str]
) -> Assignment | None:
    """Draws a point whose digest is not taken, for the suggestion with an index.

    The same arguments give the same point. Over a finite space, indices 0, 1, 2, … with each point
    taken in turn give every point once.

    Args:
        taken: digests (`assignment_digest`) of the points tried or pending.

    Returns: None when every point of a finite space is taken.
    """
    for attempt in range(_MAX_REJECTIONS):
        point = sample(space, generator(seed, index, attempt))
        if assignment_digest(point) not in taken:
            return point
    size = cardinality(space)
    if size is None:
        # A continuous range repeats only when it is a few floats wide.
        return None
    start = int(generator(seed, index, _MAX_REJECTIONS).random() * size)
    for offset in range(size):
        point = grid_point(space, (start + offset) % size)
        if assignment_digest(point) not in taken:
            return point
    return None


def is_explore(index: int, share: float) -> bool:
    """Whether a random stage's suggestion uses the original bounds instead of the refined ones.

    Spread evenly: a share of 0.2 picks the indices 4, 9, 14, …, a share of 0 none.
    """
    # A thousandth of a suggestion absorbs the rounding of sums like 5 * 0.2.
    return math.floor((index + 1) * share + 1e-3) > math.floor(index * share + 1e-3)

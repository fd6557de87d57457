"""Sampling: random points of a space, from (seed, index) alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Container, Sequence

import numpy as np

from services.core.counting import cardinality, members
from services.core.digest import assignment_digest
from services.core.grid import grid_point
from services.core.placement import RANGE_WEIGHT
from services.core.scale import from_unit_in_cells
from services.core.settling import settled
from services.core.space import (
    Assignment,
    Choices,
    Constraint,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    SumToOne,
    Value,
    constraint_met,
    domain_size,
)

# Rejecting repeats this often before walking a finite space; walking costs one digest a point.
_MAX_REJECTIONS = 32


def generator(seed: int, index: int, attempt: int = 0) -> np.random.Generator:
    """Returns the random generator of one suggestion; negative numbers count from 2^64."""
    words = [each % 2**64 for each in (seed, index, attempt)]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


def sample(space: SearchSpace, rng: np.random.Generator) -> Assignment:
    """Draws a point: lists uniformly, ranges uniformly on their scale and lattice.

    Of a range with specials, each special is drawn as often as one of a few values of the range. Of
    alternatives that are all finite every point is as likely; else every alternative is, as in
    scikit-learn's `ParameterSampler`.
    """
    if space.alternatives:
        space = _drawn_alternative(space.alternatives, rng)
    drawn = {each.name: sample_value(each, rng) for each in space.parameters}
    for constraint in space.constraints:
        drawn.update(_sample_group(space, constraint, rng))
    return settled(space, drawn)


def _drawn_alternative(
    alternatives: Sequence[SearchSpace], rng: np.random.Generator
) -> SearchSpace:
    sizes = [cardinality(each) for each in alternatives]
    known = [each for each in sizes if each is not None]
    if len(known) < len(sizes):
        return alternatives[int(rng.integers(len(alternatives)))]
    place = int(rng.random() * sum(known))
    return next(
        each
        for each, end in zip(alternatives, itertools.accumulate(known), strict=True)
        if place < end
    )


def _sample_group(
    space: SearchSpace, constraint: Constraint, rng: np.random.Generator
) -> dict[str, Value]:
    """Draws the numbers of a group under its constraint, or close to it.

    Weights come uniformly from the simplex above their lowest values; what bounds then cut off is
    settled. Ordered numbers are drawn until they are in order, a few times.
    """
    group = members(space, constraint)
    if isinstance(constraint, SumToOne):
        ranges = [each.domain for each in group if isinstance(each.domain, FloatRange)]
        if len(ranges) == len(group):
            # Exponentials over their sum are uniform on the simplex (Devroye 1986, ch. V.2).
            shares = rng.standard_exponential(len(group))
            rest = 1.0 - sum(each.low for each in ranges)
            return {
                each.name: min(domain.low + rest * float(share), domain.high)
                for each, domain, share in zip(group, ranges, shares / shares.sum(), strict=True)
            }
    drawn = {}
    for _ in range(_MAX_REJECTIONS):
        drawn = {each.name: sample_value(each, rng) for each in group}
        if constraint_met(constraint, drawn):
            break
    return drawn


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
                weight = min(domain_size(domain) or RANGE_WEIGHT, RANGE_WEIGHT)
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

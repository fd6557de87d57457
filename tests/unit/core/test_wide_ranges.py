"""Ranges over orders of magnitude, and the same points on a logarithmic scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from services.core.encoding import to_unit_cube
from services.core.sampling import generator, sample
from services.core.space import (
    Choices,
    Condition,
    FloatRange,
    IntRange,
    Ordered,
    Parameter,
    SearchSpace,
    contains,
)
from services.core.wide_ranges import wide_ranges, with_logarithmic

_SPACE = SearchSpace.of(
    [
        Parameter(name="C", domain=FloatRange(low=0.01, high=1000.0)),
        Parameter(name="from_zero", domain=FloatRange(low=0.0, high=1000.0)),
        Parameter(name="gamma", domain=FloatRange(low=0.01, high=1000.0, log=True)),
        Parameter(name="kernel", domain=Choices(values=("rbf", "linear"))),
        Parameter(
            name="leaves",
            domain=IntRange(low=1, high=500),
            specials=(None,),
            conditions=(Condition(parent="kernel", values=("rbf",)),),
        ),
        Parameter(name="narrow", domain=IntRange(low=1, high=40)),
        Parameter(name="stepped", domain=IntRange(low=1, high=501, step=5)),
    ]
)


def test_linear_ranges_over_two_orders_of_magnitude_are_wide() -> None:
    assert wide_ranges(_SPACE) == {"C", "leaves"}


def test_a_range_bound_to_another_is_left_as_it_is() -> None:
    bound = SearchSpace.of(
        [
            Parameter(name="low", domain=IntRange(low=1, high=500)),
            Parameter(name="top", domain=IntRange(low=1, high=500)),
        ],
        [Ordered(names=("low", "top"))],
    )
    assert wide_ranges(bound) == frozenset()
    assert with_logarithmic(bound, {"low", "top"}) == bound


def test_the_points_are_the_same_on_a_logarithmic_scale() -> None:
    changed = with_logarithmic(_SPACE, wide_ranges(_SPACE))
    assert {each.name for each in changed.parameters if each not in _SPACE.parameters} == {
        "C",
        "leaves",
    }
    for index in range(200):
        assert contains(_SPACE, sample(changed, generator(1, index)))
        assert contains(changed, sample(_SPACE, generator(2, index)))


def test_small_values_are_apart_on_a_logarithmic_scale() -> None:
    changed = with_logarithmic(_SPACE, {"C"})
    point = {**sample(_SPACE, generator(0, 0))}
    rows = to_unit_cube(changed, [{**point, "C": each} for each in (0.01, 0.1, 1.0, 1000.0)])
    assert np.allclose(rows[:, 0], [0.0, 0.2, 0.4, 1.0])


def test_wide_ranges_of_every_alternative_are_found() -> None:
    other = SearchSpace.of([Parameter(name="alpha", domain=FloatRange(low=0.001, high=1.0))])
    both = SearchSpace.of_alternatives([_SPACE, other])
    assert wide_ranges(both) == {"C", "leaves", "alpha"}
    assert with_logarithmic(both, {"alpha"}).alternatives[1].parameters == (
        replace(other.parameters[0], domain=FloatRange(low=0.001, high=1.0, log=True)),
    )

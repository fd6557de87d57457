"""Boxes around a point: inside the space, around the centre, no wider than asked but for lattices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.hull import hull_space
from services.core.neighbourhood_box import box_around
from services.core.sampling import generator, sample
from services.core.space import (
    Choices,
    FloatRange,
    IntRange,
    Parameter,
    SearchSpace,
    Value,
    contains,
)
from tests.unit.core.strategies import spaces


def _box(parameter: Parameter, value: Value, radius: float) -> Parameter:
    space = SearchSpace.of([parameter])
    return box_around(space, {parameter.name: value}, radius).parameters[0]


def test_a_range_reaches_a_share_of_its_width_to_either_side() -> None:
    found = _box(Parameter(name="x", domain=FloatRange(low=0.0, high=10.0)), 5.0, 0.2).domain
    assert found == FloatRange(low=3.0, high=7.0)


def test_a_logarithmic_range_reaches_as_far_on_its_scale() -> None:
    domain = FloatRange(low=0.01, high=100.0, log=True)
    found = _box(Parameter(name="x", domain=domain), 1.0, 0.25).domain
    assert isinstance(found, FloatRange)
    assert (found.low, found.high) == pytest.approx((0.1, 10.0))


def test_a_box_keeps_to_the_space() -> None:
    found = _box(Parameter(name="x", domain=FloatRange(low=0.0, high=1.0)), 0.05, 0.2).domain
    assert isinstance(found, FloatRange)
    assert (found.low, found.high) == pytest.approx((0.0, 0.25))


def test_a_lattice_has_the_next_value_at_least() -> None:
    found = _box(Parameter(name="x", domain=IntRange(low=1, high=5)), 3, 0.01).domain
    assert found == IntRange(low=2, high=4)


def test_values_without_an_order_all_stay() -> None:
    parameter = Parameter(name="x", domain=Choices(values=("a", "b")))
    assert _box(parameter, "a", 0.1) == parameter


def test_a_range_stays_whole_around_a_special_value() -> None:
    parameter = Parameter(name="x", domain=IntRange(low=1, high=50), specials=(None,))
    assert _box(parameter, None, 0.1) == parameter


@given(spaces(), st.floats(0.01, 1.0), st.integers(0, 1_000))
def test_a_box_lies_in_its_space_and_holds_its_centre(
    space: SearchSpace, radius: float, seed: int
) -> None:
    hull = hull_space(space)
    centre = sample(hull, generator(seed, 0))
    box = box_around(hull, centre, radius)
    assert contains(box, centre)
    for index in range(5):
        assert contains(hull, sample(box, generator(seed, index + 1)))


def test_a_radius_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        box_around(SearchSpace(parameters=()), {}, 0.0)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.encoding import (
    Block,
    blocks,
    from_unit_cube,
    n_dims,
    neighbours,
    to_unit_cube,
)
from services.core.errors import OutOfSpace
from services.core.sampling import generator, sample
from services.core.space import (
    Assignment,
    Choices,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    contains,
    parameter_size,
    same_value,
)
from tests.unit.core import strategies

_MIXED = SearchSpace.of(
    [
        Parameter(name="C", domain=FloatRange(low=0.01, high=100.0, log=True)),
        Parameter(name="depth", domain=IntRange(low=5, high=20), specials=(None, "auto")),
        Parameter(name="fixed", domain=Fixed(value="x")),
        Parameter(name="kernel", domain=Choices(values=("linear", "rbf", "poly"))),
        Parameter(name="single", domain=Grid(values=(3,))),
    ]
)


def test_dimensions_that_say_one_thing_form_a_block() -> None:
    assert blocks(_MIXED) == [
        Block(1, one_hot=False),  # C
        Block(1, one_hot=False),  # depth
        Block(2, one_hot=True),  # its specials
        Block(3, one_hot=True),  # kernel
    ]


def test_each_alternative_has_blocks_of_its_own() -> None:
    other = SearchSpace.of([Parameter(name="C", domain=FloatRange(low=0.0, high=1.0))])
    both = SearchSpace.of_alternatives([_MIXED, other])
    assert blocks(both) == [Block(2, one_hot=True), *blocks(_MIXED), *blocks(other)]
    assert sum(each.width for each in blocks(both)) == n_dims(both)


def test_each_kind_of_parameter_has_its_dimensions() -> None:
    assert n_dims(_MIXED) == 1 + 3 + 0 + 3 + 0
    cube = to_unit_cube(
        _MIXED,
        [
            {"C": 1.0, "depth": 20, "fixed": "x", "kernel": "rbf", "single": 3},
            {"C": 100.0, "depth": "auto", "fixed": "x", "kernel": "poly", "single": 3},
        ],
    )
    np.testing.assert_allclose(
        cube, [[0.5, 1.0, 0, 0, 0, 1, 0], [1.0, 0.5, 0, 1, 0, 0, 1]], atol=1e-12
    )


@strategies.few
@given(strategies.spaces(), st.integers(0, 1000))
def test_points_come_back_from_the_unit_cube(space: SearchSpace, seed: int) -> None:
    points = [sample(space, generator(seed, index)) for index in range(3)]
    cube = to_unit_cube(space, points)
    assert cube.shape == (3, n_dims(space))
    assert cube.dtype == np.float64
    assert cube.min(initial=0.0) >= 0.0
    assert cube.max(initial=1.0) <= 1.0
    for point, back in zip(points, from_unit_cube(space, cube), strict=True):
        assert contains(space, back)
        for parameter in space.parameters:
            value, again = point[parameter.name], back[parameter.name]
            if isinstance(value, float) and parameter_size(parameter) is None:
                assert again == pytest.approx(value, rel=1e-6, abs=1e-6)
            else:
                assert same_value(value, again)


@strategies.few
@given(strategies.spaces(), st.integers(0, 1000))
def test_whatever_is_decoded_lies_in_the_space(space: SearchSpace, seed: int) -> None:
    rows = generator(seed, 0).uniform(-0.5, 1.5, size=(4, n_dims(space)))
    assert all(contains(space, each) for each in from_unit_cube(space, rows))


@strategies.few
@given(strategies.spaces(), st.integers(0, 1000), st.floats(1e-6, 1.0))
def test_neighbours_lie_in_the_space_and_differ(
    space: SearchSpace, seed: int, scale: float
) -> None:
    rng = generator(seed, 0)
    centre = sample(space, rng)
    found = neighbours(space, centre, rng, scale, count=3)
    assert len(found) == 3
    assert all(contains(space, each) for each in found)


def test_a_short_move_still_moves_on_a_lattice() -> None:
    space = SearchSpace.of([Parameter(name="a", domain=IntRange(low=1, high=10))])
    for centre in (1, 5, 10):
        found = neighbours(space, {"a": centre}, generator(1, centre), 1e-9, count=20)
        values = {each["a"] for each in found}
        assert values <= {centre - 1, centre + 1}
        assert centre not in values


def test_neighbours_of_a_point_outside_come_inside() -> None:
    wider: Assignment = {"C": 500.0, "depth": 50, "fixed": "y", "kernel": "sigmoid", "single": 9}
    found = neighbours(_MIXED, wider, generator(3, 0), 0.1, count=20)
    assert all(contains(_MIXED, each) for each in found)


def test_points_outside_are_refused_by_parameter() -> None:
    with pytest.raises(OutOfSpace) as raised:
        to_unit_cube(_MIXED, [{"C": 1, "depth": 4, "fixed": "x", "kernel": "rbf", "single": 3}])
    assert [each.field for each in raised.value.violations] == ["C", "depth"]


def test_rows_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        from_unit_cube(_MIXED, np.zeros((1, 3)))

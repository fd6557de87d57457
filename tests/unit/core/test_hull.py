from __future__ import annotations

import pytest
from hypothesis import given

from services.core.grid import grid_point, grid_size
from services.core.hull import hull, hull_space, read_as_log, spans_log_scale
from services.core.space import (
    Choices,
    Domain,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    Value,
    contains,
)
from tests.unit.core import strategies


@pytest.mark.parametrize(
    ("values", "domain", "specials"),
    [
        ((5, 10, None), IntRange(low=5, high=10), (None,)),
        ((0.5, 0.9, "sqrt"), FloatRange(low=0.5, high=0.9), ("sqrt",)),
        ((10, 5, 20), IntRange(low=5, high=20), ()),
        ((1, 10, 100), IntRange(low=1, high=100, log=True), ()),
        ((0.1, 1.0, 10.0), FloatRange(low=0.1, high=10.0, log=True), ()),
        ((0.001, 1.0), FloatRange(low=0.001, high=1.0, log=True), ()),
        ((1.0, 2.0), FloatRange(low=1.0, high=2.0), ()),
        ((10, 100, 200), IntRange(low=10, high=200), ()),
        ((0.0, 0.1, 1.0), FloatRange(low=0.0, high=1.0), ()),
        ((True, False), Choices(values=(True, False)), ()),
        ((True, None), Choices(values=(True, None)), ()),
        (("a", "b"), Choices(values=("a", "b")), ()),
        ((2, 0.5), Choices(values=(2, 0.5)), ()),
        ((2, 4, 0.5, "sqrt"), Choices(values=(2, 4, 0.5, "sqrt")), ()),
        ((5, None), Choices(values=(5, None)), ()),
        ((5,), Fixed(value=5), ()),
        (((50,), (100, 50)), Choices(values=((50,), (100, 50))), ()),
    ],
)
def test_a_grid_spans(
    values: tuple[Value, ...], domain: Domain, specials: tuple[Value, ...]
) -> None:
    spanned = hull(Parameter(name="a", domain=Grid(values=values)))
    assert spanned == Parameter(name="a", domain=domain, specials=specials)


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ([1, 10], True),
        ([1, 9], False),
        ([50, 100, 200, 400, 800], True),
        ([0.01, 0.1, 1.0, 10.0, 100.0], True),
        ([1, 2, 10], False),
        ([1, 5, 100], False),
        ([1, 4, 32], True),
        ([-1, 10, 100], False),
    ],
)
def test_even_ratios_over_a_decade_read_as_logarithmic(values: list[float], log: bool) -> None:
    assert spans_log_scale(values) is log


def test_what_is_no_grid_stays() -> None:
    parameter = Parameter(name="a", domain=Choices(values=(1, 2, 3)))
    assert hull(parameter) == parameter


@strategies.few
@given(strategies.grids())
def test_the_points_of_a_grid_lie_in_its_hull(space: SearchSpace) -> None:
    spanned = hull_space(space)
    for index in {0, grid_size(space) - 1, grid_size(space) // 2}:
        assert contains(spanned, grid_point(space, index))
    assert hull_space(spanned) == spanned


def test_a_list_may_say_its_scale_otherwise_than_it_reads() -> None:
    for values, log in (((1, 10, 100), False), ((1.0, 2.0, 2.5), True)):
        spanned = hull(Parameter(name="a", domain=Grid(values=values, log=log))).domain
        assert isinstance(spanned, IntRange | FloatRange)
        assert spanned.log is log


def test_lists_that_read_as_logarithmic_are_named_once() -> None:
    tenfold = Parameter(name="C", domain=Grid(values=(0.1, 1.0, 10.0)))
    told = Parameter(name="a", domain=Grid(values=(1, 10), log=True))
    even = Parameter(name="b", domain=Grid(values=(1, 2, 3)))
    words = Parameter(name="k", domain=Grid(values=("rbf", "linear")))
    space = SearchSpace.of_alternatives(
        [SearchSpace.of([tenfold, told, even]), SearchSpace.of([tenfold, words])]
    )
    assert read_as_log(space) == [tenfold]

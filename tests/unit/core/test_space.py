from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.containment import require_contained
from services.core.counting import cardinality
from services.core.digest import assignment_digest, value_key
from services.core.errors import OutOfSpace
from services.core.space import (
    Choices,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    Value,
    contains,
    parameter_size,
    value_at,
)
from tests.unit.core import strategies


def test_digests_tell_types_apart() -> None:
    digests = {
        assignment_digest({"a": each})
        for each in (1, 1.0, True, "1", None, "None", (1,), (1.0,), (True,), "(1,)", 0, False, ())
    }
    assert len(digests) == 13


def test_digests_do_not_depend_on_the_order_of_names() -> None:
    assert assignment_digest({"a": 1, "b": 2}) == assignment_digest({"b": 2, "a": 1})


def test_digests_do_not_run_names_and_values_together() -> None:
    assert assignment_digest({"a": "b;1:c=i2"}) != assignment_digest({"a": "b", "c": 2})
    assert value_key(("a,b",)) != value_key(("a", "b"))


def test_both_zeros_share_a_digest() -> None:
    assert assignment_digest({"a": 0.0}) == assignment_digest({"a": -0.0})


@strategies.few
@given(strategies.values, strategies.values)
def test_values_share_a_key_only_when_equal_in_type_and_value(left: Value, right: Value) -> None:
    same = type(left) is type(right) and repr(left) == repr(right)
    assert (value_key(left) == value_key(right)) == (same or left == right == 0.0) or left == right


def test_the_size_of_a_space_is_a_product_that_nobody_builds() -> None:
    space = SearchSpace.of(
        Parameter(name=f"p{place}", domain=Grid(values=tuple(range(1000)))) for place in range(20)
    )
    assert cardinality(space) == 10**60


@pytest.mark.parametrize(
    ("parameter", "size"),
    [
        (Parameter(name="a", domain=IntRange(low=1, high=10)), 10),
        (Parameter(name="a", domain=IntRange(low=1, high=10, step=4)), 3),
        (Parameter(name="a", domain=IntRange(low=1, high=10), specials=(None, "x")), 12),
        (Parameter(name="a", domain=FloatRange(low=0.0, high=1.0)), None),
        (Parameter(name="a", domain=FloatRange(low=0.0, high=1.0, step=0.1)), 11),
        (Parameter(name="a", domain=FloatRange(low=2.0, high=2.0)), 1),
        (Parameter(name="a", domain=Choices(values=(1, 1.0, True))), 3),
        (Parameter(name="a", domain=Fixed(value=None)), 1),
    ],
)
def test_parameters_count_their_values(parameter: Parameter, size: int | None) -> None:
    assert parameter_size(parameter) == size
    assert cardinality(SearchSpace(parameters=(parameter,))) == size


@strategies.few
@given(strategies.spaces())
def test_every_value_of_a_finite_parameter_belongs_to_it(space: SearchSpace) -> None:
    for parameter in space.parameters:
        size = parameter_size(parameter)
        if size is None:
            continue
        places = {0, size - 1, size // 2, size // 3}
        for place in places:
            point = {parameter.name: value_at(parameter, place)}
            assert contains(SearchSpace(parameters=(parameter,)), point)


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (IntRange(low=1, high=9, step=2), [1, 3, 9], [2, 0, 11, 3.0, True, None, "3"]),
        (FloatRange(low=0.0, high=1.0), [0.0, 0.3, 1.0], [0, 1, True, 1.1, float("nan"), None]),
        (FloatRange(low=0.0, high=1.0, step=0.1), [0.3, 0.1 + 0.2, 1.0], [0.25]),
        (Choices(values=(1, "a")), [1, "a"], [1.0, True, "b"]),
        (Fixed(value=(50, 50)), [(50, 50)], [(50, 50.0), (50,), 50]),
    ],
)
def test_a_domain_holds_values_of_its_type_only(
    domain: IntRange | FloatRange | Choices | Fixed, inside: list[Value], outside: list[Value]
) -> None:
    space = SearchSpace(parameters=(Parameter(name="a", domain=domain),))
    assert all(contains(space, {"a": each}) for each in inside)
    assert not any(contains(space, {"a": each}) for each in outside)


def test_a_point_needs_exactly_the_parameters_of_its_space() -> None:
    space = SearchSpace.of(
        [Parameter(name="b", domain=Fixed(value=1)), Parameter(name="a", domain=Fixed(value=2))]
    )
    assert space.names == ("a", "b")
    assert contains(space, {"a": 2, "b": 1})
    with pytest.raises(OutOfSpace) as raised:
        require_contained(space, {"a": 2.0, "c": 1})
    assert [each.field for each in raised.value.violations] == ["a", "b", "c"]


@strategies.few
@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=3))
def test_parameters_of_a_space_are_sorted_and_unique(names: list[str]) -> None:
    parameters = tuple(Parameter(name=each, domain=Fixed(value=1)) for each in names)
    if names == sorted(set(names)):
        assert SearchSpace(parameters=parameters).names == tuple(names)
    else:
        with pytest.raises(ValueError, match="sorted"):
            SearchSpace(parameters=parameters)


@pytest.mark.parametrize(
    "make",
    [
        lambda: IntRange(low=2, high=1),
        lambda: IntRange(low=0, high=1, log=True),
        lambda: IntRange(low=0, high=1, step=0),
        lambda: FloatRange(low=0.0, high=float("nan")),
        lambda: FloatRange(low=0.0, high=float("inf")),
        lambda: FloatRange(low=0.0, high=1.0, step=-0.1),
        lambda: FloatRange(low=-1.0, high=1.0, log=True),
    ],
)
def test_ranges_that_hold_nothing_cannot_be_made(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=r"low|step|finite|log"):
        make()

"""Values keep their types between Python and the wire."""

from __future__ import annotations

import math

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from crescendo.client.errors import InvalidRequest
from crescendo.client.values import (
    Value,
    grid_to_proto,
    grids_to_structs,
    json_value,
    parameters_from_proto,
    python_value,
    value_from_proto,
)
from tests.unit.crescendo.messages import assignment, typed

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=10)
)
VALUES = SCALARS | st.lists(SCALARS, max_size=4).map(tuple)


@given(VALUES)
def test_a_typed_value_comes_back_as_it_was(value: Value) -> None:
    back = value_from_proto(typed(value))
    assert back == value
    assert type(back) is type(value)
    if isinstance(value, tuple) and isinstance(back, tuple):
        assert [type(each) for each in back] == [type(each) for each in value]


@given(VALUES)
def test_a_json_value_comes_back_equal(value: Value) -> None:
    assert python_value(json_value(value)) == value


def test_assignments_are_sorted_by_name() -> None:
    assert list(parameters_from_proto(assignment(b=1, a=None, c=(1, 2)))) == ["a", "b", "c"]


def test_a_grid_is_what_a_person_would_paste() -> None:
    grid = grid_to_proto({"max_depth": [5, 10, None], "layers": [(100,), [50, 50]]})
    assert {name: MessageToDict(values) for name, values in grid.items()} == {
        "max_depth": [5.0, 10.0, None],
        "layers": [[100.0], [50.0, 50.0]],
    }
    (struct,) = grids_to_structs({"run": {"C": [0.1, True, "x"]}}).values()
    assert MessageToDict(struct) == {"C": [0.1, True, "x"]}


def test_a_float_that_is_whole_says_that_it_is_one() -> None:
    grid = grid_to_proto({"max_features": ["sqrt", 1.0, 0.5, 1], "tol": [0.1, 0.2], "p": [1, 2]})
    assert {name: MessageToDict(values) for name, values in grid.items()} == {
        "max_features": ["sqrt", {"float_value": 1.0}, 0.5, {"int_value": 1.0}],
        "tol": [0.1, 0.2],
        "p": [1.0, 2.0],
    }
    assert type(python_value(json_value(1.0))) is float


def test_numbers_json_cannot_hold_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="too large"):
        json_value(2**53 + 1)


def test_types_no_parameter_can_have_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="is a set"):
        json_value({1})  # type: ignore[arg-type]  # on purpose


def test_infinity_is_left_to_the_server() -> None:
    assert json_value(math.inf).number_value == math.inf

from __future__ import annotations

import pytest

from services.core.parameter_schema import (
    Floats,
    Ints,
    ParameterSchema,
    Refused,
    Tuples,
    allows,
    as_json,
    check_value,
    shown,
)
from services.core.space import Value

_COUNT_OR_SHARE = ParameterSchema(
    ints=Ints(low=1),
    floats=Floats(low=0.0, high=1.0, low_open=True),
    strings=("sqrt", "log2"),
    nullable=True,
)
_FLOAT = ParameterSchema(floats=Floats(low=0.0, low_open=True))
_INT = ParameterSchema(ints=Ints(low=2, high=255))
_RANGE = ParameterSchema(
    tuples=Tuples(items=Floats(low=0.0), min_length=2, max_length=2, ascending=True)
)


@pytest.mark.parametrize(
    ("schema", "value", "typed"),
    [
        (_COUNT_OR_SHARE, 2.0, 2),
        (_COUNT_OR_SHARE, 1.0, 1),
        (_COUNT_OR_SHARE, {"float_value": 1.0}, 1.0),
        (_COUNT_OR_SHARE, {"floatValue": 1}, 1.0),
        (_COUNT_OR_SHARE, {"int_value": 1.0}, 1),
        (_COUNT_OR_SHARE, 0.5, 0.5),
        (_COUNT_OR_SHARE, "sqrt", "sqrt"),
        (_COUNT_OR_SHARE, None, None),
        (_FLOAT, 1.0, 1.0),
        (_FLOAT, 1, 1.0),
        (_FLOAT, {"int_value": 1}, 1.0),
        (_INT, {"float_value": 5.0}, 5),
        (_INT, 255.0, 255),
        (_RANGE, [1.0, 2.5], (1.0, 2.5)),
        (_RANGE, (0, 1), (0.0, 1.0)),
    ],
)
def test_json_gets_the_type_of_its_parameter(
    schema: ParameterSchema, value: object, typed: Value
) -> None:
    checked = check_value(schema, value)
    assert not isinstance(checked, Refused)
    assert repr(checked) == repr(typed)
    assert allows(schema, checked)


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        (
            _COUNT_OR_SHARE,
            1.5,
            (
                "1.5 is not allowed; give a whole number from 1, or a number above 0 up to 1, or "
                'one of "sqrt", "log2", or null'
            ),
        ),
        (
            _COUNT_OR_SHARE,
            {"float_value": 2.0},
            (
                "2 is not allowed; give a whole number from 1, or a number above 0 up to 1, or "
                'one of "sqrt", "log2", or null'
            ),
        ),
        (_INT, {"int_value": 2.5}, "an object is not allowed; give a whole number from 2 to 255"),
        (_INT, 2.5, "2.5 is not allowed; give a whole number from 2 to 255"),
        (_INT, 256.0, "256 is not allowed; give a whole number from 2 to 255"),
        (_INT, True, "true is not allowed; give a whole number from 2 to 255"),
        (_INT, {"a": 1}, "an object is not allowed; give a whole number from 2 to 255"),
        (_INT, 1e300, "1e+300 is not allowed; give a whole number from 2 to 255"),
        (_FLOAT, 0.0, "0 is not allowed; give a number above 0"),
        (_FLOAT, float("nan"), "nan is not a finite number; give a number above 0"),
        (_FLOAT, [1.0], "a list is not allowed as a value here; give a number above 0"),
        (
            _RANGE,
            [2.0, 1.0],
            (
                "[2, 1] is not allowed; give a list of 2 numbers (a number from 0, each above the "
                "one before)"
            ),
        ),
        (ParameterSchema(booleans=True), "true", '"true" is not allowed; give true or false'),
        (
            ParameterSchema(strings=("a",), nullable=True),
            "b",
            '"b" is not allowed; give "a", or null',
        ),
    ],
)
def test_what_is_refused_says_why_and_what_is_allowed(
    schema: ParameterSchema, value: object, text: str
) -> None:
    assert check_value(schema, value) == Refused(text=text)


def test_typed_values_are_not_converted() -> None:
    assert not allows(_INT, 5.0)
    assert not allows(_FLOAT, 5)
    assert allows(_COUNT_OR_SHARE, 1.0)
    assert not allows(_INT, True)
    assert not allows(_INT, (5,))


@pytest.mark.parametrize("value", [1, 1.0, 0.5, "sqrt", None])
def test_json_of_a_typed_value_gets_its_type_again(value: Value) -> None:
    again = check_value(_COUNT_OR_SHARE, as_json(_COUNT_OR_SHARE, value))
    assert repr(again) == repr(value)


def test_json_says_the_kind_of_a_number_only_where_there_are_two() -> None:
    assert as_json(_FLOAT, 1.0) == 1.0
    assert as_json(None, 1.0) == 1.0
    assert as_json(_COUNT_OR_SHARE, 1.0) == {"float_value": 1.0}


def test_long_values_are_shortened() -> None:
    assert len(shown("x" * 10_000)) < 100
    assert len(shown([1.0] * 1_000_000)) < 100
    assert shown([1.0, None, "a", True]) == '[1, null, "a", true]'

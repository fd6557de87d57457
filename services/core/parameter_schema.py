"""What values a parameter of an estimator or a preprocessing step takes, and the typing of JSON.

JSON knows one kind of number and clients send it as a float; the schema decides what 50.0 means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from services.core.json_numbers import telling, told_number
from services.core.limits import MAX_INT
from services.core.space import Scalar, Value

_SHOWN_CHARACTERS = 80
_SHOWN_VALUES = 20
_MAX_TEXT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Ints:
    """Whole numbers, both ends included."""

    low: int
    high: int = MAX_INT

    def accepts(self, value: int) -> bool:
        """Whether the number is in range."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        if self.high >= MAX_INT:
            return f"a whole number from {self.low}"
        return f"a whole number from {self.low} to {self.high}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Floats:
    """Finite floats; ends are included unless open."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def accepts(self, value: float) -> bool:
        """Whether the number is finite and in range."""
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return math.isfinite(value) and above and below

    def __str__(self) -> str:
        ends = []
        if math.isfinite(self.low):
            ends.append(f"{'above' if self.low_open else 'from'} {self.low:g}")
        if math.isfinite(self.high):
            ends.append(f"{'below' if self.high_open else 'up to'} {self.high:g}")
        return " ".join(["a number", *ends])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuples:
    """Tuples of numbers of one kind, such as layer sizes."""

    items: Ints | Floats
    min_length: int = 1
    max_length: int = 16
    ascending: bool = False

    def __str__(self) -> str:
        length = (
            f"{self.min_length}"
            if self.min_length == self.max_length
            else f"{self.min_length} to {self.max_length}"
        )
        order = ", each above the one before" if self.ascending else ""
        return f"a list of {length} numbers ({self.items}{order})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSchema:
    """The values one parameter takes: any of the kinds that are set.

    Attributes:
        nullable: null (Python's None) is allowed.
        strings: the strings allowed.
        text: any string of up to 100 characters is allowed.
    """

    ints: Ints | None = None
    floats: Floats | None = None
    tuples: Tuples | None = None
    booleans: bool = False
    nullable: bool = False
    strings: tuple[str, ...] = ()
    text: bool = False

    def takes_string(self, value: str) -> bool:
        """Whether a string is allowed."""
        return value in self.strings or (self.text and len(value) <= _MAX_TEXT)

    @property
    def counts_and_fractions(self) -> bool:
        """Whether 1 and 1.0 are both numbers it may take, and two values."""
        return self.ints is not None and self.floats is not None

    def __str__(self) -> str:
        parts = [str(each) for each in (self.ints, self.floats, self.tuples) if each is not None]
        if self.booleans:
            parts.append("true or false")
        if self.strings:
            listed = ", ".join(f'"{each}"' for each in self.strings)
            parts.append(listed if len(self.strings) == 1 else f"one of {listed}")
        if self.text:
            parts.append(f"a text of up to {_MAX_TEXT} characters")
        if self.nullable:
            parts.append("null")
        return ", or ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why a value is not allowed, in words that name the value and what is allowed."""

    text: str


CheckedValue: TypeAlias = Value | Refused


def check_value(schema: ParameterSchema, value: object) -> CheckedValue:
    """Gives a JSON value its type, or says what is wrong with it.

    A whole JSON number (50 or 50.0) becomes an int where the parameter takes ints, also when it
    takes floats as well, unless JSON says that it is a float (`json_numbers`); where it takes floats
    only it stays a float.
    """
    told = told_number(value)
    if told is not None:
        value = told
        if isinstance(told, float) and schema.counts_and_fractions:
            return told if allows(schema, told) else _refused(schema, told)
    if isinstance(value, bool):
        return value if schema.booleans else _refused(schema, value)
    if isinstance(value, int | float):
        return _check_number(schema, value)
    if isinstance(value, list | tuple):
        return _check_tuple(schema, value)
    if value is None:
        return None if schema.nullable else _refused(schema, value)
    if isinstance(value, str):
        if schema.takes_string(value):
            return value
        hint = ""
        if schema.nullable and value.lower() in ("none", "null"):
            hint = "; null is written without quotes"
        return _refused(schema, value, hint=hint)
    return _refused(schema, value)


def as_json(schema: ParameterSchema | None, value: Value) -> object:
    """Gives JSON of a typed value of which `check_value` makes the value again, where its schema is known."""
    return value if schema is None or not schema.counts_and_fractions else telling(value)


def _check_number(schema: ParameterSchema, value: float) -> CheckedValue:
    if not math.isfinite(value):
        return Refused(text=f"{value} is not a finite number; give {schema}")
    typed = _typed_number(schema.ints, schema.floats, value)
    return _refused(schema, value) if typed is None else typed


def _typed_number(ints: Ints | None, floats: Floats | None, value: float) -> int | float | None:
    if ints is not None and float(value).is_integer():
        return int(value) if ints.accepts(int(value)) else None
    if floats is not None and floats.accepts(float(value)):
        return float(value)
    return None


def _check_tuple(schema: ParameterSchema, values: Sequence[object]) -> CheckedValue:
    tuples = schema.tuples
    if tuples is None:
        return Refused(text=f"a list is not allowed as a value here; give {schema}")
    items: list[Scalar] = []
    for each in values:
        if isinstance(each, list | tuple):
            return Refused(text=f"lists nest one level only; give {schema}")
        typed = _tuple_item(tuples.items, each)
        if typed is None:
            return _refused(schema, values)
        if tuples.ascending and items and not _is_above(typed, items[-1]):
            return _refused(schema, values)
        items.append(typed)
    if not tuples.min_length <= len(items) <= tuples.max_length:
        return _refused(schema, values)
    return tuple(items)


def _tuple_item(items: Ints | Floats, value: object) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if isinstance(items, Ints):
        return _typed_number(items, None, value)
    return _typed_number(None, items, value)


def _is_above(value: float, before: Scalar) -> bool:
    return isinstance(before, int | float) and value > before


def _refused(schema: ParameterSchema, value: object, *, hint: str = "") -> Refused:
    return Refused(text=f"{shown(value)} is not allowed; give {schema}{hint}")


def shown(value: object) -> str:
    """Returns a value as a person would write it in JSON, shortened."""
    text = _json_text(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def shown_values(values: Sequence[object]) -> str:
    """Returns a list of values as a person would write it, shortened to its ends where it is long."""
    if len(values) <= _SHOWN_VALUES:
        return ", ".join(map(shown, values))
    first = ", ".join(map(shown, values[: _SHOWN_VALUES - 1]))
    return f"{first}, … {len(values):,} values up to {shown(values[-1])}"


def _json_text(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float() if math.isfinite(value):
            # At most 12 digits: 0.1 + 0.2 reads as 0.3.
            return f"{value:.12g}"
        case str():
            return f'"{value}"'
        case list() | tuple():
            # Enough items to fill what is shown; a request may hold a million.
            return f"[{', '.join(_json_text(each) for each in value[:_SHOWN_CHARACTERS])}]"
        case dict():
            return "an object"
        case _:
            return str(value)


def allows(schema: ParameterSchema, value: Value) -> bool:
    """Whether a typed value is allowed as it stands: 1.0 is a float and never taken for an int."""
    match value:
        case None:
            return schema.nullable
        case bool():
            return schema.booleans
        case int():
            return schema.ints is not None and schema.ints.accepts(value)
        case float():
            return schema.floats is not None and schema.floats.accepts(value)
        case str():
            return schema.takes_string(value)
        case tuple():
            return not isinstance(_check_tuple(schema, value), Refused)

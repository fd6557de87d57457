"""Counts and fractions in JSON, which has one kind of number: whether 1.0 is all of the rows or one of them.

`{"float_value": 1.0}` and `{"int_value": 1}` say which is meant, as a typed value does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, TypeGuard

from services.core.space import Value

# As protobuf spells the fields of a typed value in JSON, and as its files do.
_FLOAT: Final = ("float_value", "floatValue")
_INT: Final = ("int_value", "intValue")

JsonNumber: TypeAlias = int | float


def told_number(value: object) -> JsonNumber | None:
    """Gives the number of which JSON says the kind, as an int or a float; None for anything else."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return None
    ((kind, number),) = value.items()
    if not _is_number(number):
        return None
    if kind in _FLOAT:
        return float(number)
    return int(number) if kind in _INT and float(number).is_integer() else None


def telling(value: Value) -> object:
    """Gives JSON of a value that reads as a float where it is one."""
    return {_FLOAT[0]: value} if isinstance(value, float) and value.is_integer() else value


def with_fractions(values: Sequence[object]) -> list[object]:
    """Says of a list of counts or fractions that its ones are fractions, where its other numbers are.

    In `[0.3, 1]` the 1 is all, not a single one; in `[1, 2]` and `[0.5, 1, 2]` it stays a count.
    """
    numbers = [float(each) for each in values if _is_number(each)]
    whole = [each for each in numbers if each.is_integer()]
    if len(whole) in (0, len(numbers)) or any(each != 1.0 for each in whole):
        return list(values)
    return [{_FLOAT[0]: 1.0} if _is_number(each) and each == 1 else each for each in values]


def _is_number(value: object) -> TypeGuard[JsonNumber]:
    return isinstance(value, int | float) and not isinstance(value, bool)

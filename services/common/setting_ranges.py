"""Ranges of numbers that can be set: a finite number may be as wrong as an infinite one.

A lease of 1e300 s or a poll every nanosecond would be found out only while the service runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True, slots=True)
class Within:
    """The range of a field, both ends included: `seconds: Annotated[float, Within(1, 60)] = 10.0`.

    Attributes:
        least: smallest value.
        most: largest value.
        or_zero: whether 0 is taken too, below `least`; the field's description says what it means.
    """

    least: float
    most: float
    or_zero: bool = False

    def problem(self, value: object) -> str | None:
        """Says what is wrong with a value; None if nothing is, or there is none."""
        if not isinstance(value, int | float) or self.least <= value <= self.most:
            return None
        return None if self.or_zero and value == 0 else f"must be {self}"

    def __str__(self) -> str:
        """Gives the range in words, such as `0 or 384 to 16,777,216`."""
        return f"{'0 or ' if self.or_zero else ''}{_in_words(self.least)} to {_in_words(self.most)}"


def ranges_of(cls: type[DataclassInstance]) -> dict[str, Within]:
    """Gives the ranges of a class's fields by name."""
    hints: dict[str, Any] = get_type_hints(cls, include_extras=True)
    return {
        name: each
        for name, hint in hints.items()
        for each in getattr(hint, "__metadata__", ())
        if isinstance(each, Within)
    }


def outside_ranges(settings: DataclassInstance, *, prefix: str) -> list[str]:
    """Lists what lies outside its range, by the variables' names."""
    return [
        f"{prefix}{name.upper()}={value}: {problem}"
        for name, within in ranges_of(type(settings)).items()
        if (problem := within.problem(value := getattr(settings, name))) is not None
    ]


def _in_words(number: float) -> str:
    if float(number).is_integer():
        return f"{int(number):,}"
    return f"{number:f}".rstrip("0")

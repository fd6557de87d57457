"""Search spaces: what a search may try. Values keep their type end to end: 1, 1.0 and True differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Scalar: TypeAlias = None | bool | int | float | str
Value: TypeAlias = Scalar | tuple[Scalar, ...]
Assignment: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatRange:
    """A closed range of floats; `step` anchors a lattice at `low`."""

    low: float
    high: float
    log: bool = False
    step: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IntRange:
    """A closed range of ints on a lattice of `step` anchored at `low`."""

    low: int
    high: int
    log: bool = False
    step: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Unordered values."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """One value."""

    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Explicit values in the order given, kept exact for a grid stage."""

    values: tuple[Value, ...]


Domain: TypeAlias = FloatRange | IntRange | Choices | Fixed | Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter; `specials` are values beside a range, such as None in `[5, 10, None]`."""

    name: str
    domain: Domain
    specials: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """Parameters sorted by name, names unique."""

    parameters: tuple[Parameter, ...]

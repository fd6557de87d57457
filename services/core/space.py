"""Search spaces: what a search may try. Values keep their type end to end: 1, 1.0 and True differ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from services.core.errors import FieldViolation, OutOfSpace

Scalar: TypeAlias = None | bool | int | float | str
Value: TypeAlias = Scalar | tuple[Scalar, ...]
Assignment: TypeAlias = Mapping[str, Value]

# Share of a step by which a value may miss the lattice: floats on it are sums of rounded products.
_LATTICE_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatRange:
    """A closed range of floats; `step` anchors a lattice at `low`."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError(f"range {self.low}–{self.high} is not finite")
        _check_range(self.low, self.high, log=self.log)
        if self.step is not None and not (math.isfinite(self.step) and self.step > 0):
            raise ValueError(f"step {self.step} is not a positive number")


@dataclass(frozen=True, slots=True, kw_only=True)
class IntRange:
    """A closed range of ints on a lattice of `step` anchored at `low`."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, log=self.log)
        if self.step < 1:
            raise ValueError(f"step {self.step} is below 1")


def _check_range(low: float, high: float, *, log: bool) -> None:
    if low > high:
        raise ValueError(f"low {low} is above high {high}")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range needs low > 0, not {low}")


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

    def __post_init__(self) -> None:
        names = [each.name for each in self.parameters]
        if any(left >= right for left, right in pairwise(names)):
            raise ValueError(f"parameters are not sorted by unique names: {', '.join(names)}")

    @classmethod
    def of(cls, parameters: Iterable[Parameter]) -> SearchSpace:
        """Makes a space of parameters in any order.

        Raises: ValueError: two parameters share a name.
        """
        return cls(parameters=tuple(sorted(parameters, key=lambda each: each.name)))

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, sorted."""
        return tuple(each.name for each in self.parameters)


def domain_size(domain: Domain) -> int | None:
    """Counts the values of a domain; None when infinite."""
    match domain:
        case Fixed():
            return 1
        case Choices() | Grid():
            return len(domain.values)
        case IntRange():
            return (domain.high - domain.low) // domain.step + 1
        case FloatRange(low=low, high=high, step=step):
            if low == high:
                return 1
            if step is None:
                return None
            return math.floor((high - low) / step + _LATTICE_TOLERANCE) + 1


def parameter_size(parameter: Parameter) -> int | None:
    """Counts the values of a parameter, specials included; None when infinite."""
    size = domain_size(parameter.domain)
    return None if size is None else size + len(parameter.specials)


def cardinality(space: SearchSpace) -> int | None:
    """Counts the points of a space as a product of ints, never by building it; None when infinite."""
    points = 1
    infinite = False
    for parameter in space.parameters:
        size = parameter_size(parameter)
        if size is None:
            infinite = True
        else:
            points *= size
    return None if infinite and points else points


def lattice_value(domain: FloatRange | IntRange, index: int) -> int | float:
    """Returns the value at a place of a range's lattice, from 0 at `low`.

    Raises: ValueError: the range is continuous.
    """
    if isinstance(domain, IntRange):
        return domain.low + index * domain.step
    if domain.low == domain.high:
        return domain.low
    if domain.step is None:
        raise ValueError(f"the range {domain.low}–{domain.high} is continuous")
    return min(domain.low + index * domain.step, domain.high)


def value_at(parameter: Parameter, index: int) -> Value:
    """Returns a finite parameter's value by its place: those of the domain first, then specials.

    Raises: IndexError: there is no such place.
        ValueError: the parameter is infinite.
    """
    domain = parameter.domain
    size = domain_size(domain)
    if size is None:
        raise ValueError(f"{parameter.name} has infinitely many values")
    if not 0 <= index < size + len(parameter.specials):
        raise IndexError(f"{parameter.name} has no value {index}")
    if index >= size:
        return parameter.specials[index - size]
    match domain:
        case Fixed():
            return domain.value
        case Choices() | Grid():
            return domain.values[index]
        case _:
            return lattice_value(domain, index)


def same_value(left: Value, right: Value) -> bool:
    """Whether two values are equal in type and value: 1, 1.0 and True are three values."""
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(map(same_value, left, right))
    return type(left) is type(right) and left == right


def is_member(value: Value, values: Iterable[Value]) -> bool:
    """Whether a value is among others, types told apart."""
    return any(same_value(value, each) for each in values)


def domain_contains(domain: Domain, value: Value) -> bool:
    """Whether a value belongs to a domain, its type included."""
    match domain:
        case Fixed():
            return same_value(value, domain.value)
        case Choices() | Grid():
            return is_member(value, domain.values)
        case IntRange():
            if not isinstance(value, int) or isinstance(value, bool):
                return False
            in_range = domain.low <= value <= domain.high
            return in_range and (value - domain.low) % domain.step == 0
        case FloatRange():
            if not isinstance(value, float) or not domain.low <= value <= domain.high:
                return False
            if domain.step is None:
                return True
            place = (value - domain.low) / domain.step
            return abs(place - round(place)) <= _LATTICE_TOLERANCE


def parameter_contains(parameter: Parameter, value: Value) -> bool:
    """Whether a value belongs to a parameter: to its domain or its specials."""
    return domain_contains(parameter.domain, value) or is_member(value, parameter.specials)


def contains(space: SearchSpace, assignment: Assignment) -> bool:
    """Whether a point has exactly the space's parameters, each with a value it allows."""
    return len(assignment) == len(space.parameters) and all(
        each.name in assignment and parameter_contains(each, assignment[each.name])
        for each in space.parameters
    )


def require_contained(space: SearchSpace, assignment: Assignment) -> None:
    """Checks that a point lies in a space.

    Raises: OutOfSpace: it does not; `violations` names each parameter that is missing, unknown or
        outside its domain.
    """
    violations = [
        FieldViolation(field=each.name, description="is missing from the point")
        if each.name not in assignment
        else FieldViolation(
            field=each.name,
            description=f"{assignment[each.name]!r} lies outside its domain",
        )
        for each in space.parameters
        if each.name not in assignment or not parameter_contains(each, assignment[each.name])
    ]
    violations += [
        FieldViolation(field=name, description="is not a parameter of the space")
        for name in sorted(set(assignment) - set(space.names))
    ]
    if violations:
        raise OutOfSpace(violations)

"""Search spaces: what a search may try. Values keep their type end to end: 1, 1.0 and True differ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from services.core.constraints import is_ordered, sums_to_one

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
    """Explicit values in the order given, kept exact for a grid stage.

    `log` is the scale of the range its numbers span; None leaves it to how they read (`core.hull`).
    """

    values: tuple[Value, ...]
    log: bool | None = None


Domain: TypeAlias = FloatRange | IntRange | Choices | Fixed | Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """When a parameter is active: its parent is active and has one of some values."""

    parent: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter; `specials` are values beside a range, such as None in `[5, 10, None]`.

    A point has a value for a parameter exactly when it is active: when all its conditions hold, each on
    another parent. Without any it always is. `is_step` marks the choice of a preprocessing step's type.
    """

    name: str
    domain: Domain
    specials: tuple[Value, ...] = ()
    conditions: tuple[Condition, ...] = ()
    is_step: bool = False

    @property
    def parents(self) -> tuple[str, ...]:
        """The names of the parameters it depends on."""
        return tuple(each.parent for each in self.conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class SumToOne:
    """Numbers that sum to one, such as weights."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """Numbers none of which is above the next one, such as thresholds."""

    names: tuple[str, ...]


Constraint: TypeAlias = SumToOne | Ordered


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """Parameters sorted by name, names unique, and what holds between them.

    Conditions form no circle. Members of constraints are numbers,
    always active, in one group only and no other parameter's parent.

    A space of alternatives, such as a list of grids, has no parameters of its own: its points are those
    of each. They may share names and even points.
    """

    parameters: tuple[Parameter, ...]
    constraints: tuple[Constraint, ...] = ()
    alternatives: tuple[SearchSpace, ...] = ()

    def __post_init__(self) -> None:
        if self.alternatives and (
            self.parameters
            or self.constraints
            or any(each.alternatives for each in self.alternatives)
        ):
            raise ValueError("alternatives stand alone, and none has alternatives of its own")
        names = [each.name for each in self.parameters]
        if any(left >= right for left, right in pairwise(names)):
            raise ValueError(f"parameters are not sorted by unique names: {', '.join(names)}")
        if len(parents_first(self)) < len(names):
            raise ValueError("a condition names an unknown parent, or conditions form a circle")
        if any(len(set(each.parents)) < len(each.parents) for each in self.parameters):
            raise ValueError("a parameter has two conditions on one parent")
        members = [name for each in self.constraints for name in each.names]
        bound = {each.name for each in self.parameters if each.conditions}
        bound |= {parent for each in self.parameters for parent in each.parents}
        if len(set(members)) < len(members) or not set(members) <= set(names) - bound:
            raise ValueError(
                f"constraints on {', '.join(members)} overlap or name no free parameter"
            )

    @classmethod
    def of(
        cls, parameters: Iterable[Parameter], constraints: Sequence[Constraint] = ()
    ) -> SearchSpace:
        """Makes a space of parameters in any order.

        Raises: ValueError: two parameters share a name.
        """
        return cls(
            parameters=tuple(sorted(parameters, key=lambda each: each.name)),
            constraints=tuple(constraints),
        )

    @classmethod
    def of_alternatives(cls, spaces: Iterable[SearchSpace]) -> SearchSpace:
        """Makes the space of all points of some spaces; of a single one it is that one."""
        each = tuple(spaces)
        return each[0] if len(each) == 1 else cls(parameters=(), alternatives=each)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names, sorted; those of all alternatives."""
        return tuple(sorted({each.name for part in self.parts for each in part.parameters}))

    @property
    def parts(self) -> tuple[SearchSpace, ...]:
        """The alternatives; the space itself when it has none."""
        return self.alternatives or (self,)


def parents_first(space: SearchSpace) -> list[Parameter]:
    """Returns the parameters, each behind its parents; those that hang in the air are left out."""
    placed = [each for each in space.parameters if not each.conditions]
    rest = [each for each in space.parameters if each.conditions]
    while rest:
        known = {each.name for each in placed}
        ready = [each for each in rest if known.issuperset(each.parents)]
        if not ready:
            break
        placed += ready
        rest = [each for each in rest if each not in ready]
    return placed


def active_parameters(space: SearchSpace, values: Assignment) -> list[Parameter]:
    """Returns the parameters that are active at some values, parents first.

    Args:
        values: of active parameters at least; what is there of others has no influence.
    """
    if not any(each.conditions for each in space.parameters):
        return list(space.parameters)
    active: dict[str, Parameter] = {}
    for each in parents_first(space):
        if all(
            condition.parent in active
            and condition.parent in values
            and is_member(values[condition.parent], condition.values)
            for condition in each.conditions
        ):
            active[each.name] = each
    return list(active.values())


def constraint_met(constraint: Constraint, assignment: Assignment) -> bool:
    """Whether the numbers of a point meet a constraint."""
    numbers = [assignment.get(name) for name in constraint.names]
    known = [each for each in numbers if isinstance(each, int | float)]
    if len(known) < len(numbers):
        return False
    return sums_to_one(known) if isinstance(constraint, SumToOne) else is_ordered(known)


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


def place_of(parameter: Parameter, value: Value) -> int | None:
    """Returns a value's place in a finite parameter; None when it has none."""
    domain = parameter.domain
    if not parameter_contains(parameter, value):
        return None
    size = parameter_size(parameter)
    if size is None:
        return None
    if isinstance(domain, Choices | Grid | Fixed):
        return next(place for place in range(size) if same_value(value_at(parameter, place), value))
    if is_member(value, parameter.specials):
        specials = parameter.specials
        first = size - len(specials)
        return first + next(n for n, each in enumerate(specials) if same_value(each, value))
    if isinstance(domain, IntRange) and isinstance(value, int):
        return (value - domain.low) // domain.step
    step = domain.step or 1.0
    return round((value - domain.low) / step) if isinstance(value, int | float) else None


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
    """Whether a point has a value for exactly the active parameters, each allowed, all constraints met.

    Of alternatives one must hold it.
    """
    return alternative_at(space, assignment) is not None


def alternative_at(space: SearchSpace, assignment: Assignment) -> int | None:
    """Returns the place of the first alternative that holds a point; 0 for a space without any."""
    held = (place for place, each in enumerate(space.parts) if _holds(each, assignment))
    return next(held, None)


def _holds(space: SearchSpace, assignment: Assignment) -> bool:
    active = active_parameters(space, assignment)
    return (
        len(assignment) == len(active)
        and all(
            each.name in assignment and parameter_contains(each, assignment[each.name])
            for each in active
        )
        and all(constraint_met(each, assignment) for each in space.constraints)
    )

"""Points as rows of numbers under names, one per axis: how the libraries' own searchers see a space.

A range is one axis: its lattice by places, so that a library knows a cell's width, all else in [0, 1] on
its scale. Beside a range with special values stands a category that says which of them is chosen, or
none. Choices and Grid are categories; what has a single value has no axis. Of alternatives each has axes
of its own beside a category that says which of them holds the point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from services.core.digest import assignment_digest
from services.core.placement import WHICH_ALTERNATIVE, alternative_name, searched_parameters
from services.core.scale import from_unit, to_unit
from services.core.settling import settled
from services.core.space import (
    Assignment,
    FloatRange,
    IntRange,
    Parameter,
    SearchSpace,
    Value,
    alternative_at,
    domain_size,
    is_member,
    lattice_value,
    parameter_size,
    same_value,
    value_at,
)

# Beside a range with special values: which of them is active, or none. No parameter has a space in its name.
_KIND = " kind"
_HEX_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Category:
    """0, 1, … `size` − 1, without order; `size` ≥ 2."""

    size: int


@dataclass(frozen=True, slots=True)
class Lattice:
    """The ints `low` … `high`, on a logarithmic scale if `log`; `low` < `high`."""

    low: int
    high: int
    log: bool = False


@dataclass(frozen=True, slots=True)
class Unit:
    """The numbers in [0, 1]."""


Axis: TypeAlias = Category | Lattice | Unit
Row: TypeAlias = dict[str, int | float]


def axes_of(space: SearchSpace) -> dict[str, Axis]:
    """Gives the axes of a space by name, in the order of its parameters."""
    found: dict[str, Axis] = {}
    if space.alternatives:
        found[WHICH_ALTERNATIVE] = Category(len(space.alternatives))
    for place, each in enumerate(space.alternatives):
        for name, axis in axes_of(each).items():
            found[alternative_name(place, name)] = axis
    for parameter in searched_parameters(space):
        domain = parameter.domain
        if not isinstance(domain, IntRange | FloatRange):
            found[parameter.name] = Category(parameter_size(parameter) or 1)
            continue
        if domain_size(domain) != 1:
            found[parameter.name] = _range_axis(domain)
        if parameter.specials:
            found[parameter.name + _KIND] = Category(1 + len(parameter.specials))
    return found


def to_row(space: SearchSpace, point: Assignment) -> Row:
    """Encodes a point of the space: a value for each of its axes.

    An axis that says nothing about the point, for its parameter is not active or has a special value,
    gets a value drawn from the point's digest: spread evenly, it teaches a model nothing.
    """
    row: Row = {}
    if space.alternatives:
        row[WHICH_ALTERNATIVE] = chosen = alternative_at(space, point) or 0
        # Elsewhere nothing is known of it but that it is this point.
        elsewhere: Assignment = {" point": assignment_digest(point)}
        for place, each in enumerate(space.alternatives):
            own = to_row(each, point if place == chosen else elsewhere)
            row.update({alternative_name(place, name): cell for name, cell in own.items()})
    for parameter in searched_parameters(space):
        value = point.get(parameter.name)
        domain = parameter.domain
        if not isinstance(domain, IntRange | FloatRange):
            row[parameter.name] = (
                _place(parameter, value)
                if parameter.name in point
                else int(_share(parameter.name, point) * (parameter_size(parameter) or 1))
            )
            continue
        special = parameter.name in point and is_member(value, parameter.specials)
        if domain_size(domain) != 1:
            if special or isinstance(value, bool) or not isinstance(value, int | float):
                number: float = from_unit(domain, _share(parameter.name, point))
            else:
                number = value
            row[parameter.name] = _range_place(domain, number)
        if parameter.specials:
            row[parameter.name + _KIND] = 1 + _index(value, parameter.specials) if special else 0
    return row


def from_row(space: SearchSpace, row: Mapping[str, int | float]) -> dict[str, Value]:
    """Decodes a row to the point of the space it stands for; numbers under a constraint are settled."""
    if space.alternatives:
        chosen = int(row[WHICH_ALTERNATIVE])
        start = alternative_name(chosen, "")
        own = {
            name.removeprefix(start): each for name, each in row.items() if name.startswith(start)
        }
        return from_row(space.alternatives[chosen], own)
    values = {
        each.name: value_at(each, 0) if parameter_size(each) == 1 else _value(each, row)
        for each in space.parameters
    }
    return settled(space, values)


def _range_axis(domain: IntRange | FloatRange) -> Axis:
    size = domain_size(domain)
    if isinstance(domain, IntRange) and domain.log and domain.step == 1:
        return Lattice(domain.low, domain.high, log=True)
    if size is not None and not domain.log:
        return Lattice(0, size - 1)
    return Unit()


def _value(parameter: Parameter, row: Mapping[str, int | float]) -> Value:
    domain = parameter.domain
    if not isinstance(domain, IntRange | FloatRange):
        return value_at(parameter, int(row[parameter.name]))
    kind = int(row.get(parameter.name + _KIND, 0))
    if kind:
        return parameter.specials[kind - 1]
    if domain_size(domain) == 1:
        return domain.low
    place = row[parameter.name]
    match _range_axis(domain):
        case Lattice(log=True):
            return int(place)
        case Lattice():
            return lattice_value(domain, int(place))
        case _:
            return from_unit(domain, float(place))


def _range_place(domain: IntRange | FloatRange, value: float) -> int | float:
    match _range_axis(domain):
        case Lattice(log=True):
            return int(value)
        case Lattice():
            return round((value - domain.low) / (domain.step or 1))
        case _:
            return to_unit(domain, value)


def _share(name: str, point: Assignment) -> float:
    """A number in [0, 1) that depends on a name and a point and on nothing else."""
    digest = assignment_digest({**point, " number of": name})
    return int(digest[:_HEX_DIGITS], 16) / float(16**_HEX_DIGITS)


def _place(parameter: Parameter, value: Value) -> int:
    size = parameter_size(parameter) or 1
    return _index(value, [value_at(parameter, place) for place in range(size)])


def _index(value: Value, values: Sequence[Value]) -> int:
    return next(place for place, each in enumerate(values) if same_value(each, value))

"""Checking of what holds between the parameters of a requested space: conditions and constraints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from services.core.counting import members, values_in_grid
from services.core.digest import value_key
from services.core.naming import unknown_name
from services.core.parameter_schema import shown
from services.core.settling import can_be_met
from services.core.space import (
    Choices,
    Condition,
    Constraint,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    SumToOne,
    Value,
    domain_contains,
    parameter_size,
)
from services.core.space_request import ParameterRequest
from services.core.violations import Violations
from services.core.webs import webs_of

MAX_GROUP_COMBINATIONS: Final = 200_000
"""Combinations of the values of one constraint's numbers, which are gone through to count them."""

MAX_CONDITIONS: Final = 1_000
"""Conditions of all parameters of a space together."""

MAX_CONDITION_WORK: Final = 1_000_000
"""Values that conditions on one parent name, times the values it has: each is looked up among them."""


def check_conditions(
    asked: Sequence[ParameterRequest],
    known: Sequence[Parameter],
    field: str,
    found: Violations,
) -> None:
    """Checks the conditions of a space: a known parent, values it takes, no circle.

    Args:
        known: the parameters asked for whose own part is in order.
        field: path of the parameters.
    """
    count = sum(len(each.conditions) for each in asked)
    if count > MAX_CONDITIONS:
        # Not looked at one by one: there may be a hundred thousand.
        found.add(field, f"have {count:,} conditions, above the limit of {MAX_CONDITIONS:,}")
        return
    names = {each.name for each in asked}
    parents = {each.name: each.parents for each in asked}
    values = _ParentValues(known)
    for place, each in enumerate(asked):
        before: set[str] = set()
        for number, condition in enumerate(each.conditions):
            path = f"{field}[{place}].condition"
            if number:
                path = f"{field}[{place}].further_conditions[{number - 1}]"
            repeats = condition.parent in before
            before.add(condition.parent)
            if repeats:
                found.add(
                    f"{path}.parent",
                    f'"{condition.parent}" is the parent of a condition before it; give its values in one',
                )
                continue
            if condition.parent not in names:
                others = tuple(names - {each.name})
                found.add(
                    f"{path}.parent",
                    unknown_name("parameter of this space", condition.parent, others),
                )
                continue
            circle = _circle(each.name, condition.parent, parents)
            if circle:
                found.add(
                    f"{path}.parent",
                    f"makes a circle: {' → '.join(circle)}; nothing in it is ever active",
                )
                continue
            _check_values(condition, values, path, found)


def check_webs(space: SearchSpace, field: str, found: Violations) -> None:
    """Checks that the points of parameters with several parents can be counted."""
    for each in webs_of(space):
        if each.states > MAX_GROUP_COMBINATIONS:
            found.add(
                field,
                f"joins {', '.join(each.names)} by conditions on {each.states:,} combinations of"
                f" values, above the limit of {MAX_GROUP_COMBINATIONS:,}; name fewer values in them",
            )


class _ParentValues:
    """What the parents of conditions take, each looked through once."""

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self._parameters = {each.name: each for each in parameters}
        self._listed: dict[str, frozenset[str]] = {}
        self._work: dict[str, int] = {}

    def get(self, name: str) -> Parameter | None:
        """The parameter; None where its own part is not in order."""
        return self._parameters.get(name)

    def work(self, parent: Parameter, values: int) -> int:
        """Counts the work of looking values up among a parent's, with that of all conditions before."""
        listed = len(self._keys(parent)) or 1
        self._work[parent.name] = self._work.get(parent.name, 0) + values * listed
        return self._work[parent.name]

    def holds(self, parent: Parameter, value: Value) -> bool:
        """Whether a parent takes a value."""
        if value_key(value) in self._keys(parent):
            return True
        is_range = isinstance(parent.domain, IntRange | FloatRange)
        return is_range and domain_contains(parent.domain, value)

    def _keys(self, parent: Parameter) -> frozenset[str]:
        if parent.name not in self._listed:
            domain = parent.domain
            own = domain.values if isinstance(domain, Choices | Grid) else ()
            if isinstance(domain, Fixed):
                own = (domain.value,)
            self._listed[parent.name] = frozenset(map(value_key, (*own, *parent.specials)))
        return self._listed[parent.name]


def _check_values(
    condition: Condition, parents: _ParentValues, path: str, found: Violations
) -> None:
    if not condition.values:
        found.add(f"{path}.values", "is empty, so it is never active; give at least one value")
    parent = parents.get(condition.parent)
    if parent is None:
        return
    work = parents.work(parent, len(condition.values))
    if work > MAX_CONDITION_WORK:
        found.add(
            f"{path}.values",
            f"has {len(condition.values):,} members, and to look up what conditions name among the values"
            f" of {parent.name} takes {work:,} comparisons, above the limit of {MAX_CONDITION_WORK:,};"
            f" name fewer, or give {parent.name} fewer values",
        )
        return
    before: set[str] = set()
    for index, value in enumerate(condition.values):
        key = value_key(value)
        if key in before:
            found.add(f"{path}.values[{index}]", f"{shown(value)} is given twice")
        elif not parents.holds(parent, value):
            found.add(
                f"{path}.values[{index}]",
                f"{shown(value)} is no value that {parent.name} takes here, so this condition"
                " contradicts the space; give values of its domain, with their types",
            )
        elif (
            isinstance(parent.domain, FloatRange)
            and parent.domain.step is None
            and domain_contains(parent.domain, value)
        ):
            found.add(
                f"{path}.values[{index}]",
                f"{shown(value)} is one float of a range without a step, which is hardly ever"
                f" drawn; give {parent.name} a list of values",
            )
        before.add(key)


def check_constraints(
    constraints: Sequence[Constraint | None],
    asked: Sequence[ParameterRequest],
    known: Sequence[Parameter],
    field: str,
    found: Violations,
) -> None:
    """Checks the constraints of a space: numbers that are always active and can meet them.

    Args:
        known: the parameters asked for whose own part is in order.
        field: path of the constraints.
    """
    names = {each.name for each in asked}
    parents = {parent for each in asked for parent in each.parents}
    by_name = {each.name: each for each in known}
    taken: dict[str, int] = {}
    for place, constraint in enumerate(constraints):
        path = f"{field}[{place}]"
        if constraint is None:
            found.add(path, "says nothing; set sum_to_one or ordered")
            continue
        path += ".sum_to_one" if isinstance(constraint, SumToOne) else ".ordered"
        before = len(found.found)
        if len(constraint.names) < 2:
            found.add(f"{path}.names", f"has {len(constraint.names)} members; name two or more")
        for index, name in enumerate(constraint.names):
            problem = ""
            if name not in names:
                problem = unknown_name("parameter of this space", name, tuple(names))
            elif name in taken:
                problem = f'"{name}" is in {field}[{taken[name]}] already; one constraint each'
            elif name in by_name:
                problem = _member_problem(by_name[name], constraint, parents)
            taken.setdefault(name, place)
            if problem:
                found.add(f"{path}.names[{index}]", problem)
        if len(found.found) == before and all(name in by_name for name in constraint.names):
            _check_meeting(constraint, [by_name[name] for name in constraint.names], path, found)


def torn_apart(space: SearchSpace, names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of a parameter that is named and one that is not, which belong together.

    A condition binds a parameter and its parent, a constraint all its members.
    """
    groups = [each.names for each in space.constraints]
    groups += [(each.name, parent) for each in space.parameters for parent in each.parents]
    return [
        (inside, outside)
        for group in groups
        for inside in group
        for outside in group
        if inside in names and outside not in names
    ]


def check_group_grids(found: Violations, field: str, space: SearchSpace, resolution: int) -> None:
    """Checks that a grid's values of numbers under a constraint can be gone through."""
    for part in space.parts:
        for each in part.constraints:
            tried = {one.name: values_in_grid(one, resolution) for one in members(part, each)}
            combinations = math.prod(tried.values())
            if combinations > MAX_GROUP_COMBINATIONS:
                listed = ", ".join(f"{count:,} of {name}" for name, count in tried.items())
                found.add(
                    field,
                    f"is {resolution}, and the values tried, {listed}, make {combinations:,}"
                    f" combinations, above the limit of {MAX_GROUP_COMBINATIONS:,}; give a smaller one,"
                    " or larger steps",
                )


def _circle(name: str, parent: str, parents: Mapping[str, Sequence[str]]) -> list[str]:
    """The names on the way from a parameter over a parent back to it; empty without a circle."""
    ways, seen = [[name, parent]], {parent}
    while ways:
        way = ways.pop()
        if way[-1] == name:
            return way
        for each in parents.get(way[-1], ()):
            if each == name or each not in seen:
                seen.add(each)
                ways.append([*way, each])
    return []


def _member_problem(parameter: Parameter, constraint: Constraint, parents: set[str]) -> str:
    domain, name = parameter.domain, parameter.name
    if not isinstance(domain, IntRange | FloatRange):
        return f"{name} is a list of values, not a range of numbers; give it a range"
    if parameter.specials:
        listed = ", ".join(shown(each) for each in parameter.specials)
        return f"{name} may be {listed}, which is no number; take it out of specials"
    if parameter.conditions or name in parents:
        return f"{name} is part of a condition; members of a constraint are always active, and no parent"
    if isinstance(constraint, SumToOne) and (
        isinstance(domain, IntRange) or domain.step is not None or domain.log
    ):
        return f"{name} needs a range of floats without a step or log scale to sum to one"
    return ""


def _check_meeting(
    constraint: Constraint, group: Sequence[Parameter], path: str, found: Violations
) -> None:
    space = SearchSpace.of(group, [constraint])
    ranges = [each.domain for each in group if isinstance(each.domain, IntRange | FloatRange)]
    if isinstance(constraint, SumToOne):
        least, most = sum(each.low for each in ranges), sum(each.high for each in ranges)
        if not can_be_met(space, constraint):
            found.add(
                path,
                f"cannot be met: the lowest values sum to {shown(least)} and the highest to"
                f" {shown(most)}; one must lie between them",
            )
        return
    if not can_be_met(space, constraint):
        found.add(
            path,
            "cannot be met: no values of "
            + ", ".join(f"{e.name} ({shown(d.low)} to {shown(d.high)})" for e, d in _pairs(group))
            + " are in this order",
        )
        return
    sizes = [parameter_size(each) for each in group]
    combinations = math.prod(each or 1 for each in sizes)
    if None not in sizes and combinations > MAX_GROUP_COMBINATIONS:
        found.add(
            path,
            f"has {combinations:,} combinations of its numbers to go through, above the limit of"
            f" {MAX_GROUP_COMBINATIONS:,}; give larger steps or narrower ranges",
        )


def _pairs(group: Sequence[Parameter]) -> list[tuple[Parameter, IntRange | FloatRange]]:
    return [(each, each.domain) for each in group if isinstance(each.domain, IntRange | FloatRange)]

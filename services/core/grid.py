"""Grids: their size, their points in scikit-learn's order, and how they are read from JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from services.core.counting import (
    cardinality,
    group_places,
    is_lattice,
    members,
    point_at_index,
)
from services.core.limits import MAX_GRID_PARAMETERS, MAX_GRID_POINTS, MAX_GRIDS
from services.core.naming import unknown_name
from services.core.parameter_schema import ParameterSchema, shown
from services.core.scale import from_unit
from services.core.settling import settled
from services.core.space import (
    Assignment,
    Constraint,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    SumToOne,
    Value,
    domain_size,
    is_member,
    parameter_size,
    value_at,
)
from services.core.value_lists import parse_values
from services.core.violations import Violations

DEFAULT_GRID_RESOLUTION: Final = 5
"""Values a grid takes of a range without a step, unless the request says otherwise."""


def grid_size(space: SearchSpace) -> int:
    """Counts a grid's points without building them.

    Raises: ValueError: the space is infinite.
    """
    size = cardinality(space)
    if size is None:
        raise ValueError("an infinite space has no grid")
    return size


def grid_point(space: SearchSpace, index: int) -> Assignment:
    """Returns a point of a finite space by its place in scikit-learn's `ParameterGrid`.

    Names are sorted and the last one varies fastest. No other point is built. Beside preprocessing
    steps the estimator's own parameters are those of a Pipeline's step `model`, and sort as such.
    The points of a list of grids follow one another. With conditions and constraints, which
    scikit-learn does not know, the order is `counting`'s.

    Raises: IndexError: there is no such point.
        ValueError: the space is infinite.
    """
    return point_at_index(space, index)


def gridded(space: SearchSpace, resolution: int) -> SearchSpace:
    """Returns the finite space a grid search tries of a space with ranges.

    A range with a step (an int range with one above 1) gives its whole lattice. Any other gives
    `resolution` values spread evenly on its scale, both ends among them: all its values when an int
    range has no more. Specials follow the numbers. What is no range stays as it is.

    Args:
        resolution: at least 2.
    """
    if space.alternatives:
        return SearchSpace.of_alternatives(gridded(each, resolution) for each in space.alternatives)
    grid = replace(space, parameters=tuple(_gridded(each, resolution) for each in space.parameters))
    for constraint in space.constraints:
        grid = _gridded_group(space, grid, constraint, resolution)
    return grid


def _gridded_group(
    space: SearchSpace, grid: SearchSpace, constraint: Constraint, resolution: int
) -> SearchSpace:
    """Lets a group's members take values of which some meet the constraint."""
    group = members(space, constraint)
    parameters = {each.name: each for each in grid.parameters}
    if isinstance(constraint, SumToOne):
        for each, shares in zip(group, _simplex_values(group, resolution), strict=True):
            parameters[each.name] = replace(each, domain=Grid(values=tuple(shares)))
    grid = replace(grid, parameters=tuple(parameters.values()))
    if group_places(grid, constraint):
        return grid
    # None of the values spread evenly meet it: those nearest to the middle that do are added.
    middle = settled(space, {each.name: _middle(each) for each in space.parameters})
    for each in group:
        tried = parameters[each.name]
        values = [value_at(tried, place) for place in range(parameter_size(tried) or 0)]
        if not is_member(middle[each.name], values):
            values.append(middle[each.name])
        parameters[each.name] = replace(each, domain=Grid(values=tuple(values)))
    return replace(grid, parameters=tuple(parameters.values()))


def _middle(parameter: Parameter) -> Value:
    domain = parameter.domain
    return (
        from_unit(domain, 0.5)
        if isinstance(domain, IntRange | FloatRange)
        else value_at(parameter, 0)
    )


def _simplex_values(group: Sequence[Parameter], resolution: int) -> list[list[float]]:
    """Values of each weight that sum to one in many combinations: its lowest and shares of the rest."""
    bounds = [
        (each.domain.low, each.domain.high) for each in group if isinstance(each.domain, FloatRange)
    ]
    rest = 1.0 - sum(low for low, _ in bounds)
    found = []
    for low, high in bounds:
        values = [
            float(f"{low + rest * place / (resolution - 1):.12g}") for place in range(resolution)
        ]
        inside = [each for each in values if low <= each <= high]
        found.append(list(dict.fromkeys([low, *inside])))
    return found


def _gridded(parameter: Parameter, resolution: int) -> Parameter:
    domain = parameter.domain
    if not isinstance(domain, IntRange | FloatRange):
        return parameter
    size = domain_size(domain)
    if size is not None and (is_lattice(domain) or size <= resolution):
        return parameter
    values: list[Value] = []
    for place in range(resolution):
        value = from_unit(domain, place / (resolution - 1))
        # The ends as they were given: a logarithm and its power miss them by a last digit.
        if place in (0, resolution - 1):
            value = domain.high if place else domain.low
        elif isinstance(domain, FloatRange):
            # 0.1 reads better than 0.10000000000000002, and is as good a point to try.
            value = min(max(float(f"{value:.12g}"), domain.low), domain.high)
        if not is_member(value, values):
            values.append(value)
    return replace(parameter, domain=Grid(values=(*values, *parameter.specials)), specials=())


def parse_grid_list(
    grids: Sequence[Mapping[str, object]],
    schemas: Sequence[Mapping[str, ParameterSchema]],
    *,
    field: str,
    max_points: int = MAX_GRID_POINTS,
) -> SearchSpace:
    """Reads a list of grids into a space whose alternatives they are, in their order.

    Args:
        schemas: for each grid, as for `parse_param_grid`.
        field: path of the list in the request.

    Raises: InvalidRequest: something is wrong; `violations` lists all of it by path.
    """
    found = Violations()
    if len(grids) > MAX_GRIDS:
        found.add(field, f"has {len(grids):,} grids, above the limit of {MAX_GRIDS}")
        found.raise_if_any()
    spaces = []
    for place, (grid, known) in enumerate(zip(grids, schemas, strict=True)):
        with found.gathered():
            path = f"{field}[{place}].values"
            spaces.append(parse_param_grid(grid, known, field=path, max_points=max_points))
    found.raise_if_any()
    space = SearchSpace.of_alternatives(spaces)
    _check_size(grid_size(space), max_points, field, found)
    found.raise_if_any()
    return space


def parse_param_grid(
    grid: Mapping[str, object],
    schemas: Mapping[str, ParameterSchema],
    *,
    field: str,
    max_points: int = MAX_GRID_POINTS,
) -> SearchSpace:
    """Reads a param grid (name → list of JSON values) into a space of Grid parameters.

    Args:
        schemas: the parameters known, those of preprocessing steps as `step__parameter`.
        field: path of the grid in the request, for the violations.

    Raises: InvalidRequest: something is wrong; `violations` lists all of it by path.
    """
    found = Violations()
    if not grid:
        found.add(field, "is empty; name at least one parameter with its values")
    if len(grid) > MAX_GRID_PARAMETERS:
        # Not looked at one by one: there may be a hundred thousand.
        found.add(
            field, f"names {len(grid):,} parameters, above the limit of {MAX_GRID_PARAMETERS}"
        )
        found.raise_if_any()
    parameters = []
    for name in sorted(grid):
        path = f'{field}["{name}"]'
        schema = schemas.get(name)
        if schema is None:
            found.add(path, unknown_name("tunable parameter", name, tuple(schemas)))
            continue
        values = grid[name]
        if not isinstance(values, list | tuple):
            found.add(path, f"{shown(values)} is not a list; write [{shown(values)}]")
            continue
        typed = parse_values(values, schema, path, found)
        parameters.append(Parameter(name=name, domain=Grid(values=tuple(typed))))
    found.raise_if_any()
    space = SearchSpace.of(parameters)
    _check_size(grid_size(space), max_points, field, found)
    found.raise_if_any()
    return space


def _check_size(size: int, max_points: int, field: str, found: Violations) -> None:
    if size > max_points:
        found.add(
            field,
            f"has {size:,} points, above the limit of {max_points:,}; give fewer values or use "
            "another method, such as random_search or bayesian",
        )

"""Grids: their size, their points in scikit-learn's order, and how they are read from JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.core.digest import value_key
from services.core.limits import MAX_GRID_PARAMETERS, MAX_GRID_POINTS
from services.core.naming import unknown_name
from services.core.parameter_schema import ParameterSchema, Refused, check_value, shown
from services.core.space import (
    Assignment,
    Grid,
    Parameter,
    SearchSpace,
    Value,
    cardinality,
    parameter_size,
    value_at,
)
from services.core.violations import Violations


def grid_size(space: SearchSpace) -> int:
    """Counts a grid's points as a product of ints.

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

    Raises: IndexError: there is no such point.
        ValueError: the space is infinite.
    """
    if not 0 <= index < grid_size(space):
        raise IndexError(f"the grid has {grid_size(space)} points, none at {index}")
    values: dict[str, Value] = {}
    rest = index
    for parameter in sorted(space.parameters, key=_pipeline_name, reverse=True):
        size = parameter_size(parameter)
        if size is None:
            raise ValueError(f"{parameter.name} has infinitely many values")
        rest, place = divmod(rest, size)
        values[parameter.name] = value_at(parameter, place)
    return {name: values[name] for name in space.names}


def _pipeline_name(parameter: Parameter) -> str:
    # With no step's parameter in the space all names gain the same prefix, and none changes places.
    return parameter.name if "__" in parameter.name else f"model__{parameter.name}"


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
        typed = _parse_values(values, schema, path, found)
        parameters.append(Parameter(name=name, domain=Grid(values=tuple(typed))))
    found.raise_if_any()
    space = SearchSpace.of(parameters)
    size = grid_size(space)
    if size > max_points:
        found.add(
            field,
            f"has {size:,} points, above the limit of {max_points:,}; give fewer values or use "
            "random_search or bayesian",
        )
    found.raise_if_any()
    return space


def _parse_values(
    values: Sequence[object], schema: ParameterSchema, path: str, found: Violations
) -> list[Value]:
    if not values:
        found.add(path, "has no values; give at least one, or leave the parameter out")
    typed: list[Value] = []
    places: dict[str, int] = {}
    for place, value in enumerate(values):
        checked = check_value(schema, value)
        if isinstance(checked, Refused):
            found.add(f"{path}[{place}]", checked.text)
            continue
        first = places.setdefault(value_key(checked), place)
        if first != place:
            found.add(f"{path}[{place}]", f"{shown(checked)} repeats the value at [{first}]")
            continue
        typed.append(checked)
    return typed

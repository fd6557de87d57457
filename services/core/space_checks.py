"""Checking of the search spaces and distributions of a request: everything wrong is told by path."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.core.binding_checks import check_conditions, check_constraints, check_webs
from services.core.digest import value_key
from services.core.hull import range_numbers
from services.core.limits import MAX_GRID_PARAMETERS, MAX_GRIDS
from services.core.naming import unknown_name
from services.core.parameter_schema import ParameterSchema, allows, shown
from services.core.space import (
    Choices,
    Domain,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    Value,
    domain_contains,
)
from services.core.space_request import (
    CHOICE,
    DISTRIBUTIONS,
    LOGUNIFORM,
    QUNIFORM,
    RANDINT,
    DistributionRequest,
    ParameterRequest,
    RangeRequest,
    SpaceRequest,
)
from services.core.value_lists import parse_values
from services.core.violations import Violations

# Beyond this many steps the places of a lattice are no exact floats.
_MAX_LATTICE = 2**53
_LATTICE_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paths:
    """Where the parts of a range stand in the request."""

    low: str
    high: str
    step: str
    whole: str = field(default="")


def check_space(
    request: SpaceRequest, schemas: Mapping[str, ParameterSchema], *, field: str
) -> SearchSpace:
    """Checks a typed space against what its parameters take.

    Args:
        schemas: the parameters known, those of preprocessing steps as `step__parameter`.
        field: path of the space in the request, for the violations.

    Raises: InvalidRequest: something is wrong; `violations` lists all of it by path.
    """
    found = Violations()
    asked = request.parameters
    if not asked:
        found.add(f"{field}.parameters", "is empty; name at least one parameter")
    if len(asked) > MAX_GRID_PARAMETERS:
        # Not looked at one by one: there may be a hundred thousand.
        found.add(
            f"{field}.parameters",
            f"names {len(asked):,} parameters, above the limit of {MAX_GRID_PARAMETERS}",
        )
        found.raise_if_any()
    places: dict[str, int] = {}
    parameters = []
    for place, each in enumerate(asked):
        path = f"{field}.parameters[{place}]"
        first = places.setdefault(each.name, place)
        if first != place:
            found.add(f"{path}.name", f'"{each.name}" repeats the parameter at [{first}]')
            continue
        schema = schemas.get(each.name)
        if schema is None:
            found.add(f"{path}.name", unknown_name("tunable parameter", each.name, tuple(schemas)))
            continue
        domain = _check_domain(each, schema, path, found)
        if domain is not None:
            parameters.append(
                Parameter(
                    name=each.name,
                    domain=domain,
                    specials=each.specials,
                    conditions=each.conditions,
                )
            )
    check_conditions(asked, parameters, f"{field}.parameters", found)
    check_constraints(request.constraints, asked, parameters, f"{field}.constraints", found)
    found.raise_if_any()
    space = SearchSpace.of(parameters, [each for each in request.constraints if each is not None])
    check_webs(space, f"{field}.parameters", found)
    found.raise_if_any()
    return space


def check_alternatives(
    request: SpaceRequest, schemas: Sequence[Mapping[str, ParameterSchema]], *, field: str
) -> SearchSpace:
    """Checks a typed space of alternatives.

    Args:
        schemas: for each alternative, as for `check_space`.
        field: path of the space in the request.

    Raises: InvalidRequest: something is wrong; `violations` lists all of it by path.
    """
    found = Violations()
    path = f"{field}.alternatives"
    if request.parameters or request.constraints:
        found.add(path, "stand beside parameters or constraints; put those into each of them")
    if len(request.alternatives) > MAX_GRIDS:
        found.add(
            path, f"has {len(request.alternatives):,} members, above the limit of {MAX_GRIDS}"
        )
        found.raise_if_any()
    spaces = []
    for place, (each, known) in enumerate(zip(request.alternatives, schemas, strict=True)):
        if each.alternatives:
            found.add(f"{path}[{place}].alternatives", "stand in an alternative; list all in one")
            continue
        with found.gathered():
            spaces.append(check_space(each, known, field=f"{path}[{place}]"))
    found.raise_if_any()
    return SearchSpace.of_alternatives(spaces)


def check_distributions(
    distributions: Mapping[str, DistributionRequest],
    schemas: Mapping[str, ParameterSchema],
    *,
    field: str,
) -> list[Parameter]:
    """Checks distributions by name against what their parameters take.

    Returns: `uniform` and `loguniform` as float ranges, `randint` as an int range without `upper`,
        `quniform` as a range with a step (of ints where the parameter takes no fractions), `choice`
        as Choices; sorted by name.

    Raises: InvalidRequest: something is wrong; `violations` lists all of it by path.
    """
    found = Violations()
    if len(distributions) > MAX_GRID_PARAMETERS:
        found.add(
            field,
            f"names {len(distributions):,} parameters, above the limit of {MAX_GRID_PARAMETERS}",
        )
        found.raise_if_any()
    parameters = []
    for name in sorted(distributions):
        path = f'{field}["{name}"]'
        schema = schemas.get(name)
        if schema is None:
            found.add(path, unknown_name("tunable parameter", name, tuple(schemas)))
            continue
        domain = _distributed(distributions[name], schema, path, found)
        if domain is not None:
            parameters.append(Parameter(name=name, domain=domain))
    found.raise_if_any()
    return parameters


def _check_domain(
    asked: ParameterRequest, schema: ParameterSchema, path: str, found: Violations
) -> Domain | None:
    domain = asked.domain
    match domain:
        case RangeRequest():
            kind = "int_range" if domain.whole else "float_range"
            paths = _Paths(
                low=f"{path}.{kind}.low",
                high=f"{path}.{kind}.high",
                step=f"{path}.{kind}.step",
                whole=f"{path}.{kind}",
            )
            checked = _check_range(domain, schema, paths, found)
            _check_listed(asked.specials, schema, f"{path}.specials", found)
            if checked is not None:
                for place, value in enumerate(asked.specials):
                    if domain_contains(checked, value):
                        found.add(
                            f"{path}.specials[{place}]",
                            f"{shown(value)} lies in the range already; leave it out",
                        )
            return checked
        case Choices() | Grid():
            kind = "choices" if isinstance(domain, Choices) else "grid"
            if not domain.values:
                found.add(f"{path}.{kind}.values", "is empty; give at least one value")
            _check_listed(domain.values, schema, f"{path}.{kind}.values", found)
            if isinstance(domain, Grid) and domain.log is not None:
                _check_grid_scale(domain, f"{path}.grid.log", found)
            if asked.choices_log is not None:
                found.add(
                    f"{path}.choices.log",
                    "is set, but choices have no order and no scale; give the values as a grid, or leave"
                    " it out",
                )
        case Fixed():
            _check_typed(domain.value, schema, f"{path}.fixed", found)
        case None:
            found.add(
                path,
                "has no domain; set one of float_range, int_range, choices, fixed and grid",
            )
    if asked.specials:
        found.add(f"{path}.specials", "stand beside a range only; put them into the list of values")
    return domain


def _check_grid_scale(grid: Grid, path: str, found: Violations) -> None:
    """Checks a scale that is asked for, which only a list that spans a range of numbers has."""
    numbers = range_numbers(grid.values)
    if not numbers:
        found.add(
            path,
            "goes with a list of two or more numbers, all of them whole or none; leave it out",
        )
    elif grid.log and min(numbers) <= 0:
        found.add(path, f"is set, but {shown(min(numbers))} has no logarithm; leave it out")


def _check_listed(
    values: Sequence[Value], schema: ParameterSchema, path: str, found: Violations
) -> None:
    places: dict[str, int] = {}
    for place, value in enumerate(values):
        _check_typed(value, schema, f"{path}[{place}]", found)
        first = places.setdefault(value_key(value), place)
        if first != place:
            found.add(f"{path}[{place}]", f"{shown(value)} repeats the value at [{first}]")


def _check_typed(value: Value, schema: ParameterSchema, path: str, found: Violations) -> None:
    if allows(schema, value):
        return
    hint = ""
    if isinstance(value, int) and not isinstance(value, bool) and allows(schema, float(value)):
        hint = "; this one is an int: write it as float_value"
    if isinstance(value, float) and value.is_integer() and allows(schema, int(value)):
        hint = "; this one is a float: write it as int_value"
    found.add(path, f"{shown(value)} is not allowed; give {schema}{hint}")


def _check_range(
    asked: RangeRequest, schema: ParameterSchema, paths: _Paths, found: Violations
) -> FloatRange | IntRange | None:
    """Checks a range; None when something is wrong with it."""
    before = len(found.found)
    taken = schema.ints if asked.whole else schema.floats
    if taken is None:
        other = schema.floats if asked.whole else schema.ints
        kind = "whole numbers" if asked.whole else "fractions"
        instead = ""
        if other is not None:
            instead = " use a range of floats;" if asked.whole else " use a range of ints;"
        found.add(paths.whole, f"holds {kind}, which are not allowed;{instead} give {schema}")
        return None
    finite = True
    for path, value in ((paths.low, asked.low), (paths.high, asked.high)):
        if not math.isfinite(value):
            found.add(path, f"{value} is not a finite number; give {taken}")
            finite = False
        elif not taken.accepts(value):  # type: ignore[arg-type]  # ints for Ints, floats for Floats
            found.add(path, f"{shown(value)} is not allowed; give {taken}")
    if not finite:
        return None
    if asked.low >= asked.high:
        found.add(
            paths.low,
            f"{shown(asked.low)} is not below the highest value, {shown(asked.high)}; swap them, or"
            " give one value",
        )
    if asked.log and asked.low <= 0:
        found.add(
            paths.low,
            f"{shown(asked.low)} has no logarithm; give a lowest value above 0, or no log scale",
        )
    if asked.step is not None and asked.low < asked.high:
        problem = _step_problem(asked.low, asked.high, asked.step)
        if problem:
            found.add(paths.step, problem)
    if len(found.found) > before:
        return None
    if asked.whole:
        return IntRange(
            low=int(asked.low),
            high=int(asked.high),
            log=asked.log,
            step=1 if asked.step is None else int(asked.step),
        )
    return FloatRange(low=float(asked.low), high=float(asked.high), log=asked.log, step=asked.step)


def _step_problem(low: float, high: float, step: float) -> str:
    if not (math.isfinite(step) and step > 0):
        return f"{step} is not a positive number; give the distance between values"
    steps = high / step - low / step
    if steps > _MAX_LATTICE:
        return f"{shown(step)} makes more than 2^53 values; give a larger step, or none"
    if round(steps) < 1 or abs(steps - round(steps)) > _LATTICE_TOLERANCE:
        nearest = low + max(math.floor(steps), 1) * step
        return (
            f"{shown(step)} does not divide {shown(low)} to {shown(high)}; end the range at"
            f" {shown(nearest)}, or change the step"
        )
    return ""


def _distributed(
    asked: DistributionRequest, schema: ParameterSchema, path: str, found: Violations
) -> Domain | None:
    if asked.type not in DISTRIBUTIONS:
        found.add(f"{path}.type", unknown_name("distribution", asked.type, DISTRIBUTIONS))
        return None
    before = len(found.found)
    for name in _unused(asked):
        found.add(f"{path}.{name}", f"has no meaning for {asked.type}; leave it out")
    if asked.type == CHOICE:
        values = parse_values(asked.values or (), schema, f"{path}.values", found)
        return None if len(found.found) > before else Choices(values=tuple(values))
    lower, upper, step = asked.lower, asked.upper, asked.step
    needed = {"lower": lower, "upper": upper}
    if asked.type == QUNIFORM:
        needed["step"] = step
    for name, value in needed.items():
        if value is None:
            found.add(f"{path}.{name}", f"is missing; {asked.type} needs {' and '.join(needed)}")
    if lower is None or upper is None or len(found.found) > before:
        return None
    whole = asked.type == RANDINT or (asked.type == QUNIFORM and schema.floats is None)
    if whole:
        for name, value in needed.items():
            if value is not None and not float(value).is_integer():
                found.add(f"{path}.{name}", f"{shown(value)} is not a whole number")
        if len(found.found) > before:
            return None
        lower, upper = int(lower), int(upper) - (asked.type == RANDINT)
        step = None if step is None else int(step)
    if asked.type == RANDINT and lower >= upper:
        found.add(
            f"{path}.upper",
            f"{shown(asked.upper)} leaves {'one value' if lower == upper else 'no value'}: upper"
            f" itself is not drawn; give at least {shown(lower + 2)}",
        )
        return None
    paths = _Paths(low=f"{path}.lower", high=f"{path}.upper", step=f"{path}.step", whole=path)
    return _check_range(
        RangeRequest(whole=whole, low=lower, high=upper, log=asked.type == LOGUNIFORM, step=step),
        schema,
        paths,
        found,
    )


def _unused(asked: DistributionRequest) -> list[str]:
    used = {
        CHOICE: {"values"},
        QUNIFORM: {"lower", "upper", "step"},
    }.get(asked.type, {"lower", "upper"})
    given = {
        "lower": asked.lower,
        "upper": asked.upper,
        "step": asked.step,
        "values": asked.values,
    }
    return [name for name, value in given.items() if value is not None and name not in used]

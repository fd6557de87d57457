"""The scales of the ranges that lists of numbers span: as asked for, or as the lists read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from services.core.hull import hull, read_as_log
from services.core.limits import MAX_GRID_PARAMETERS
from services.core.naming import unknown_name
from services.core.parameter_schema import shown, shown_values
from services.core.space import FloatRange, Grid, IntRange, Parameter, SearchSpace
from services.core.violations import Violations

_SCALES: Final = {"log": True, "linear": False}


def with_scales(
    space: SearchSpace, scales: Mapping[str, str], field: str, found: Violations
) -> SearchSpace:
    """Gives lists of numbers the scales asked for.

    Args:
        scales: `log` or `linear` by parameter; of alternatives in each that lists it.
        field: path of the scales in the request.
    """
    lists = [
        each
        for part in space.parts
        for each in part.parameters
        if isinstance(each.domain, Grid) and isinstance(hull(each).domain, IntRange | FloatRange)
    ]
    names = tuple(dict.fromkeys(each.name for each in lists))
    before = len(found.found)
    for name in sorted(scales):
        path = f'{field}["{name}"]'
        if scales[name] not in _SCALES:
            found.add(path, unknown_name("scale", scales[name], tuple(_SCALES)))
        if name not in names:
            found.add(path, unknown_name("list of two or more numbers in the grid", name, names))
            continue
        low = min(_low(each) for each in lists if each.name == name)
        if scales[name] == "log" and low <= 0:
            found.add(
                path, f'is "log", but {shown(low)} has no logarithm; use "linear", or leave it out'
            )
    if not scales or len(found.found) > before:
        return space
    return SearchSpace.of_alternatives(
        replace(part, parameters=tuple(_scaled(each, scales) for each in part.parameters))
        for part in space.parts
    )


def check_scales(
    scales: Mapping[str, str], listed: Collection[str], field: str, found: Violations
) -> None:
    """Checks of scales what can be known while the lists they are for are refused themselves.

    Args:
        listed: names of all parameters with values of their own.
        field: path of the scales in the request.
    """
    for name in sorted(scales):
        path = f'{field}["{name}"]'
        if scales[name] not in _SCALES:
            found.add(path, unknown_name("scale", scales[name], tuple(_SCALES)))
        # A grid that names more is refused for that, and is not listed again.
        if name not in listed and len(listed) <= MAX_GRID_PARAMETERS:
            found.add(path, unknown_name("list in the grid", name, tuple(listed)))


def scale_notices(space: SearchSpace) -> list[str]:
    """Tells which lists of numbers are searched on a logarithmic scale since they read so."""
    read = [
        f"{each.name} ({shown_values(each.domain.values)})"
        for each in read_as_log(space)
        if isinstance(each.domain, Grid)
    ]
    if not read:
        return []
    verb = "is" if len(read) == 1 else "are"
    why = "they are above 0, reach over a factor of 10 or more, and grow by like factors"
    what = f"{', '.join(read)} {verb} searched between the values on a logarithmic scale"
    return [f"LOG_SCALES: {what}: {why}; scales changes it"]


def _low(parameter: Parameter) -> float:
    domain = hull(parameter).domain
    return domain.low if isinstance(domain, IntRange | FloatRange) else 0.0


def _scaled(parameter: Parameter, scales: Mapping[str, str]) -> Parameter:
    domain = parameter.domain
    if not isinstance(domain, Grid) or parameter.name not in scales:
        return parameter
    return replace(parameter, domain=replace(domain, log=_SCALES[scales[parameter.name]]))

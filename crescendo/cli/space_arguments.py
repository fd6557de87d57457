"""Spaces as they are typed: grids, lists of grids, distributions, typed spaces, scales."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from crescendo.cli.arguments import (
    BadArgument,
    parse_values,
    read_json,
    split_assignment,
)
from crescendo.client.spaces import Distribution
from crescendo.client.values import GivenValue

# One grid, or a list of grids that are searched together.
ReadGrids: TypeAlias = dict[str, list[GivenValue]] | list[dict[str, list[GivenValue]]]
_DISTRIBUTION = re.compile(r"\s*([A-Za-z_]+)\s*\((.*)\)\s*", re.DOTALL)


def parse_grid(grid: str | None, parameters: Sequence[str]) -> ReadGrids:
    """Joins a grid's JSON (inline or a file) and `name=v1,v2` arguments, which win.

    Beside a list of grids the arguments go for each of them.

    Raises:
        BadArgument: the text, the file or one of the arguments cannot be understood.
    """
    read = {} if grid is None else _grids_of(read_json(grid), "the grid")
    for each in parameters:
        name, values = split_assignment(each, example="max_depth=5,10,20,null")
        for one in read if isinstance(read, list) else [read]:
            one[name] = parse_values(values)
    return read


def parse_grids(grids: str | None) -> dict[str, ReadGrids]:
    """Reads a JSON object of grids by model type or model run id.

    Raises:
        BadArgument: the text or the file cannot be understood.
    """
    if grids is None:
        return {}
    return grids_of(read_json(grids))


def grids_of(content: Any) -> dict[str, ReadGrids]:
    """Takes grids, or lists of them, by model type or model run id out of JSON.

    Raises:
        BadArgument: it holds something else.
    """
    if not isinstance(content, dict):
        raise BadArgument(
            'the grids must be a JSON object such as {"svm_classifier": {"C": [1, 10]}}'
        )
    return {key: _grids_of(value, f"the grid of {key}") for key, value in content.items()}


def parse_distributions(arguments: Sequence[str]) -> dict[str, Distribution]:
    """Reads `name=type(lower, upper)`, `name=quniform(lower, upper, step)`, `name=choice(a, b, …)`.

    Raises:
        BadArgument: one of them cannot be understood.
    """
    pairs = (split_assignment(each, example="C=loguniform(0.01,100)") for each in arguments)
    return {name: _distribution(text) for name, text in pairs}


def distributions_of(content: Any) -> dict[str, dict[str, Distribution]]:
    """Takes distributions by model type or model run id out of JSON.

    Raises:
        BadArgument: it holds something else, or a text that is no distribution.
    """
    if not isinstance(content, dict) or not all(
        isinstance(each, dict) for each in content.values()
    ):
        raise BadArgument(
            "the distributions must be a JSON object such as"
            ' {"svm_classifier": {"C": "loguniform(0.01,100)"}}'
        )
    return {key: texts_to_distributions(key, each) for key, each in content.items()}


def texts_to_distributions(key: str, given: dict[str, Any]) -> dict[str, Distribution]:
    """Takes one model's distributions, texts by parameter, out of JSON.

    Raises:
        BadArgument: one of them is no text, or no distribution.
    """
    for name, each in given.items():
        if not isinstance(each, str):
            raise BadArgument(
                f'the distribution of {name} of {key} must be text such as "loguniform(0.01,100)"'
            )
    return parse_distributions([f"{name}={each}" for name, each in given.items()])


def parse_space(space: str | None) -> dict[str, Any] | None:
    """Reads the JSON form of a typed space, inline or from a file.

    Raises:
        BadArgument: the text or the file cannot be understood.
    """
    if space is None:
        return None
    content = read_json(space)
    if not isinstance(content, dict):
        raise BadArgument('must be a JSON object such as {"parameters": […]}')
    return content


def parse_scales(log: Sequence[str], linear: Sequence[str]) -> dict[str, str]:
    """Joins the names given to `--log` and `--linear`.

    Raises:
        BadArgument: a name is given to both.
    """
    both = sorted(set(log) & set(linear))
    if both:
        raise BadArgument(f"{', '.join(both)} cannot be both; give one of --log and --linear")
    return dict.fromkeys(log, "log") | dict.fromkeys(linear, "linear")


def scales_of(content: Any) -> dict[str, dict[str, str]]:
    """Takes scales of lists by model type or model run id out of JSON.

    Raises:
        BadArgument: it holds something else; which scales there are the server says.
    """
    if not isinstance(content, dict) or not all(
        isinstance(each, dict) and all(isinstance(scale, str) for scale in each.values())
        for each in content.values()
    ):
        raise BadArgument(
            'the scales must be a JSON object such as {"svm_classifier": {"C": "log", "tol": "linear"}}'
        )
    return {key: dict(each) for key, each in content.items()}


def _distribution(text: str) -> Distribution:
    match = _DISTRIBUTION.fullmatch(text)
    if match is None:
        raise BadArgument(
            f"{text!r} is no distribution; write uniform(0,1), loguniform(0.01,100),"
            " quniform(0,1,0.1), randint(2,20) or choice(a,b)"
        )
    kind, inside = match.group(1), match.group(2)
    values = parse_values(inside) if inside.strip() else []
    if kind == "choice":
        return Distribution(type=kind, values=values)
    numbers = [
        float(each)
        for each in values
        if isinstance(each, int | float) and not isinstance(each, bool)
    ]
    if len(numbers) != len(values) or len(values) > 3:
        raise BadArgument(f"{text!r} needs numbers: {kind}(lower, upper), with a step for quniform")
    # What is missing or unknown is the server's to say, with everything else that is wrong.
    lower, upper, step = (*numbers, None, None, None)[:3]
    return Distribution(type=kind, lower=lower, upper=upper, step=step)


def _grids_of(content: Any, what: str) -> ReadGrids:
    if isinstance(content, list) and all(isinstance(each, dict) for each in content):
        if not content:
            raise BadArgument(f"{what} is an empty list; give one grid at least")
        return [_grid_of(each, what) for each in content]
    return _grid_of(content, what)


def _grid_of(content: Any, what: str) -> dict[str, list[GivenValue]]:
    if not isinstance(content, dict) or not all(
        isinstance(values, list) for values in content.values()
    ):
        raise BadArgument(
            f"{what} must be a JSON object of lists, such as"
            ' {"C": [0.1, 1, 10], "kernel": ["rbf"]}'
        )
    return {
        name: [tuple(value) if isinstance(value, list) else value for value in values]
        for name, values in content.items()
    }

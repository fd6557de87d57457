"""What people type after an option → Python values: grids, parameters, steps."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crescendo.client.model import Step
from crescendo.client.values import GivenValue, Scalar

_WORDS: dict[str, Scalar] = {
    "null": None,
    "none": None,
    "true": True,
    "false": False,
}
_INT = re.compile(r"[+-]?\d+")
_OPENING, _CLOSING = "([", ")]"


class BadArgument(ValueError):
    """Something typed cannot be understood; the text says what, and how to write it."""


def parse_value(text: str) -> GivenValue:
    """Reads one value as a person writes it.

    `5`, `0.1`, `1e-3`, `true`, `null`, `sqrt`, `"5"` (a string, in quotes), `(100, 50)` (a tuple).
    """
    stripped = text.strip()
    if stripped.lower() in _WORDS:
        return _WORDS[stripped.lower()]
    if _INT.fullmatch(stripped):
        return int(stripped)
    try:
        return float(stripped)
    except ValueError:
        pass
    if len(stripped) >= 2 and stripped[0] in "\"'" and stripped[-1] == stripped[0]:
        return stripped[1:-1]
    if stripped[:1] in ("(", "["):
        return _parse_tuple(stripped)
    if not stripped:
        raise BadArgument('a value is empty; write "" for an empty string')
    return stripped


def parse_values(text: str) -> list[GivenValue]:
    """Reads values separated by commas; commas in brackets and quotes belong to a value."""
    return [parse_value(part) for part in split_commas(text)]


def parse_grid(grid: str | None, parameters: Sequence[str]) -> dict[str, list[GivenValue]]:
    """Joins a grid's JSON (inline or a file) and `name=v1,v2` arguments, which win.

    Raises:
        BadArgument: the text, the file or one of the arguments cannot be understood.
    """
    joined = {} if grid is None else _grid_of(read_json(grid), "the grid")
    for each in parameters:
        name, values = split_assignment(each, example="max_depth=5,10,20,null")
        joined[name] = parse_values(values)
    return joined


def parse_grids(grids: str | None) -> dict[str, dict[str, list[GivenValue]]]:
    """Reads a JSON object of grids by model type or model run id.

    Raises:
        BadArgument: the text or the file cannot be understood.
    """
    if grids is None:
        return {}
    content = read_json(grids)
    if not isinstance(content, dict):
        raise BadArgument('must be a JSON object such as {"svm_classifier": {"C": [1, 10]}}')
    return {key: _grid_of(value, f"the grid of {key}") for key, value in content.items()}


def parse_parameters(arguments: Sequence[str]) -> dict[str, GivenValue]:
    """Reads `name=value` arguments.

    Raises:
        BadArgument: one of them cannot be understood.
    """
    pairs = (split_assignment(each, example="n_estimators=100") for each in arguments)
    return {name: parse_value(value) for name, value in pairs}


def parse_step(text: str) -> Step:
    """Reads `[NAME=]TYPE[@COLUMNS][:parameter=value,…]`.

    Raises:
        BadArgument: the text cannot be understood.
    """
    head, _, tail = text.partition(":")
    name, equals, rest = head.rpartition("=")
    kind, _, columns = rest.partition("@")
    if not kind.strip() or (equals and not name.strip()):
        raise BadArgument(
            f"{text!r} names no step; write TYPE, or for example impute@numeric:strategy=median"
        )
    return Step(
        type=kind.strip(),
        name=name.strip(),
        columns=columns.strip(),
        parameters=dict(_step_parameter(part) for part in split_commas(tail)) if tail else {},
    )


def read_json(text: str) -> Any:
    """Reads JSON given inline (it starts with a brace) or as a file's path.

    Raises:
        BadArgument: there is no such file, or it is not JSON.
    """
    content, origin = text, "the JSON given"
    if not text.lstrip().startswith("{"):
        try:
            content, origin = Path(text).read_text(encoding="utf-8"), text
        except OSError as error:
            raise BadArgument(
                f"{text!r} cannot be read ({error.strerror}); give a JSON file or inline JSON such"
                " as '{\"C\": [1, 10]}'"
            ) from error
    try:
        return json.loads(content)
    except ValueError as error:
        raise BadArgument(f"{origin} is not JSON: {error}") from error


def split_assignment(text: str, *, example: str) -> tuple[str, str]:
    """Splits `name=rest`.

    Raises:
        BadArgument: it has no name or no equals sign.
    """
    name, equals, rest = text.partition("=")
    if not equals or not name.strip():
        raise BadArgument(f"{text!r} must be NAME=VALUE, such as {example}")
    return name.strip(), rest


def split_commas(text: str) -> list[str]:
    """Splits at commas outside brackets and quotes.

    Raises:
        BadArgument: a bracket or quote is not closed.
    """
    parts, depth, quote, start = [], 0, "", 0
    for place, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'" and not text[start:place].strip(" (["):
            quote = char
        elif char in _OPENING:
            depth += 1
        elif char in _CLOSING:
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    if depth != 0 or quote:
        raise BadArgument(f"{text!r} has a bracket or quote that is not closed")
    return [*parts, text[start:]]


def _parse_tuple(text: str) -> tuple[Scalar, ...]:
    if text[-1] not in _CLOSING:
        raise BadArgument(f"{text!r} has a bracket that is not closed")
    members = split_commas(text[1:-1])
    # (100,) as Python writes a tuple of one.
    if len(members) > 1 and not members[-1].strip():
        members.pop()
    values = [parse_value(each) for each in members] if members[0].strip() else []
    scalars: list[Scalar] = []
    for value in values:
        if not isinstance(value, Scalar):
            raise BadArgument(f"{text!r} is nested too deep: a tuple holds numbers and words only")
        scalars.append(value)
    return tuple(scalars)


def _step_parameter(text: str) -> tuple[str, Any]:
    name, value = split_assignment(text, example="impute:strategy=median")
    return name, parse_value(value)


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

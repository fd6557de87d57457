"""What people type after an option → Python values: numbers, durations, parameters, steps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from crescendo.client.model import Pruning, Splitter, Step
from crescendo.client.values import GivenValue, Scalar

_WORDS: dict[str, Scalar] = {
    "null": None,
    "none": None,
    "true": True,
    "false": False,
}
_DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?"
)
_UNIT_SECONDS = (86_400.0, 3_600.0, 60.0, 1.0)
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


def parse_parameters(arguments: Sequence[str]) -> dict[str, GivenValue]:
    """Reads `name=value` arguments.

    Raises:
        BadArgument: one of them cannot be understood.
    """
    pairs = (split_assignment(each, example="n_estimators=100") for each in arguments)
    return {name: parse_value(value) for name, value in pairs}


def parse_point(text: str) -> dict[str, GivenValue]:
    """Reads one point: `name=value,name=value`.

    Raises:
        BadArgument: the text cannot be understood.
    """
    return parse_parameters(split_commas(text))


def parse_duration(text: str) -> float:
    """Reads a time span: `90`, `90s`, `10m`, `1h30m`, `2d`. Returns: seconds.

    Raises:
        BadArgument: it is none.
    """
    stripped = text.strip().lower()
    match = _DURATION.fullmatch(stripped)
    if match is None or not stripped:
        raise BadArgument(f"{text!r} is no time span; write 90, 90s, 10m, 1h30m or 2d")
    return sum(
        float(part) * seconds
        for part, seconds in zip(match.groups(), _UNIT_SECONDS, strict=True)
        if part is not None
    )


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


def parse_splitter(text: str | None) -> Splitter | None:
    """Reads `TYPE[:setting=value,…]`; None stays None.

    Raises:
        BadArgument: the text cannot be understood, or there is no such setting.
    """
    if text is None:
        return None
    known = {each.name: str(each.type) for each in fields(Splitter) if each.name != "type"}
    kind, settings = _parse_settings(text, known, noun="splitter", example="k_fold:shuffle=true")
    return Splitter(type=kind, **settings)


def parse_pruning(text: str | None) -> Pruning | None:
    """Reads `RULE[:figure=value,…]`; None stays None.

    Raises:
        BadArgument: the text cannot be understood, or there is no such figure.
    """
    if text is None:
        return None
    known = {
        each.name: str(each.type)
        for each in fields(Pruning)
        if each.name not in ("rule", "max_steps")
    }
    rule, figures = _parse_settings(
        text, known, noun="pruning rule", example="asha:reduction_factor=3,grace_period=1"
    )
    return Pruning(rule=rule, **figures)


def _parse_settings(
    text: str, known: Mapping[str, str], *, noun: str, example: str
) -> tuple[str, dict[str, Any]]:
    """Reads `NAME[:setting=value,…]`, whose settings are known by name, with their types."""
    kind, _, tail = text.partition(":")
    if not kind.strip():
        raise BadArgument(f"{text!r} names no {noun}; write for example {example}")
    settings: dict[str, Any] = {}
    for part in split_commas(tail) if tail else []:
        name, value = split_assignment(part, example=example)
        if name not in known:
            raise BadArgument(f"{name!r} is no setting of a {noun}; known: {', '.join(known)}")
        settings[name] = _setting(name, parse_value(value), known[name])
    return kind.strip(), settings


def read_json(text: str) -> Any:
    """Reads JSON given inline (it starts with a brace or a bracket) or as a file's path.

    Raises:
        BadArgument: there is no such file, or it is not JSON.
    """
    content, origin = text, "the JSON given"
    if not text.lstrip().startswith(("{", "[")):
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


def _setting(name: str, value: GivenValue, kind: str) -> GivenValue:
    """Takes a setting when it is of the kind its annotation says."""
    wanted = {"bool": bool, "int": int, "float": float, "str": str}[kind.partition(" ")[0]]
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "a name"}
        raise BadArgument(f"{name}={value} must be {words[wanted]}")
    return value

"""Settings: one frozen dataclass per service, read from environment variables with one prefix."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PREFIX = "CRESCENDO_"

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})

SettingsT = TypeVar("SettingsT", bound="DataclassInstance")


class SettingsError(ValueError):
    """The environment does not make valid settings; the message lists every problem."""


def load(cls: type[SettingsT], environ: Mapping[str, str]) -> SettingsT:
    """Builds settings from the environment.

    A field `store_listen` is read from CRESCENDO_STORE_LISTEN; without the variable, or with an empty
    one, the field's default holds. Types: str, int, float, bool, `X | None` and tuple[str, ...]
    (comma-separated). Checks of the class's own go into `__post_init__` as ValueError.

    Raises:
        SettingsError: values are missing or wrong; the message names each variable, once.
    """
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    problems: list[str] = []
    for each in dataclasses.fields(cls):
        name = PREFIX + each.name.upper()
        text = environ.get(name, "").strip()
        if not text:
            if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
                problems.append(f"{name} must be set")
            continue
        try:
            values[each.name] = _parse(text, hints[each.name])
        except ValueError as error:
            problems.append(f"{name}={text!r}: {error}")
    if not problems:
        try:
            return cls(**values)
        except ValueError as error:
            problems.append(str(error))
    raise SettingsError("wrong settings: " + "; ".join(problems))


def _parse(text: str, hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        inner = [each for each in get_args(hint) if each is not type(None)]
        return _parse(text, inner[0])
    if get_origin(hint) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if hint is bool:
        lowered = text.lower()
        if lowered in _TRUE:
            return True
        if lowered in _FALSE:
            return False
        raise ValueError("must be true or false")
    if hint is int:
        try:
            return int(text)
        except ValueError:
            raise ValueError("must be a whole number") from None
    if hint is float:
        try:
            return float(text)
        except ValueError:
            raise ValueError("must be a number") from None
    return text

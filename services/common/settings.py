"""Settings: one frozen dataclass per service, read from environment variables with one prefix."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from services.common.redaction import redact
from services.common.setting_checks import problem_of
from services.common.setting_ranges import ranges_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PREFIX = "CRESCENDO_"

# Here an empty value says something, elsewhere it is as good as none.
_MAY_BE_EMPTY = frozenset({"metrics_listen"})
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})

SettingsT = TypeVar("SettingsT", bound="DataclassInstance")


class SettingsError(ValueError):
    """The environment does not make valid settings; the message lists every problem."""


def load(cls: type[SettingsT], environ: Mapping[str, str]) -> SettingsT:
    """Builds settings from the environment.

    A field `store_listen` is read from CRESCENDO_STORE_LISTEN; without the variable, or with an empty
    one, the field's default holds (an empty CRESCENDO_METRICS_LISTEN turns metrics off). Types: str,
    int, float, bool, `X | None` and tuple[str, ...] (comma-separated). Addresses, URLs and names are
    checked by the field's name, numbers by the range they are annotated with; checks of the class's own
    go into `__post_init__` as ValueError.

    Raises:
        SettingsError: values are missing or wrong; the message names each variable, once.
    """
    hints, ranges = get_type_hints(cls), ranges_of(cls)
    values: dict[str, Any] = {}
    problems: list[str] = []
    is_complete = True
    for each in dataclasses.fields(cls):
        name = PREFIX + each.name.upper()
        text = environ.get(name, "").strip()
        if not text and each.name in _MAY_BE_EMPTY and name in environ:
            values[each.name] = ""
        elif not text:
            if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
                problems.append(f"{name} must be set")
                is_complete = False
        else:
            try:
                value = _parse(text, hints[each.name])
                within = ranges.get(each.name)
                problem = within.problem(value) if within else problem_of(each.name, value)
                if problem is not None:
                    raise ValueError(problem)
                values[each.name] = value
            except ValueError as error:
                problems.append(f"{name}={redact(text)!r}: {error}")
    try:
        # Also when something is wrong already: everything is told at once, what is wrong being left out.
        settings = cls(**values) if is_complete else None
    except ValueError as error:
        problems.append(str(error))
    if problems or settings is None:
        raise SettingsError("wrong settings: " + "; ".join(problems))
    return settings


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

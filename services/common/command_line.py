"""Command lines of the services: they are told by the environment, and by arguments only what to do."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from services.common.settings import PREFIX

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_HELP = frozenset({"-h", "--help"})
_WIDTH = 100
_ATTRIBUTE = re.compile(r"    (?P<name>[a-z][a-z0-9_]*): (?P<text>.*)")


def answered(
    arguments: Sequence[str],
    *,
    module: str,
    about: str,
    settings: type[DataclassInstance],
    commands: Sequence[str] = (),
) -> int | None:
    """Answers what does not start the service: a question for help, or arguments it does not know.

    Args:
        module: what is run, as in `python -m services.store`.
        about: what the process is, and what its commands do.
        settings: the class the process reads its settings into; its docstring describes them.
        commands: what may be given as the only argument.

    Returns: the process's exit status; None where the service, or a command, is to be run.
    """
    usage = f"usage: python -m {module} [{' | '.join(('--help', *commands))}]\n"
    if _HELP & set(arguments):
        sys.stdout.write(f"{usage}\n{_filled(about)}\n\n{described(settings)}")
        return 0
    if not arguments or (len(arguments) == 1 and arguments[0] in commands):
        return None
    sys.stderr.write(f"{usage}not understood: {' '.join(arguments)}\n")
    return 2


def described(settings: type[DataclassInstance]) -> str:
    """Lists the variables that settings are read from, with their defaults and what they mean."""
    texts = _attributes(settings)
    parts = ["Settings, read from the environment:\n"]
    for each in dataclasses.fields(settings):
        parts.append(f"  {PREFIX}{each.name.upper()} (default: {_shown(each.default)})\n")
        if text := texts.get(each.name):
            parts.append(_filled(text, indent="      ") + "\n")
    return "".join(parts)


def _attributes(settings: type[DataclassInstance]) -> dict[str, str]:
    """Reads the section `Attributes:` of a class's docstring."""
    _, _, section = (inspect.getdoc(settings) or "").partition("\nAttributes:\n")
    texts: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if match := _ATTRIBUTE.fullmatch(line):
            name = match["name"]
            texts[name] = match["text"]
        elif name and line.startswith("        "):
            texts[name] += " " + line.strip()
        else:
            break
    return texts


def _shown(default: object) -> str:
    if default is None or default == ():
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


def _filled(text: str, indent: str = "") -> str:
    return "\n\n".join(
        textwrap.fill(
            " ".join(part.split()),
            _WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for part in text.strip().split("\n\n")
    )

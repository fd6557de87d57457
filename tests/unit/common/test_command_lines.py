"""The services' command lines: they say what they are and what they read, and start only when meant to."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

import pytest

from services.common.command_line import described
from services.coordinator.settings import CoordinatorSettings
from services.embedded.settings import EmbeddedSettings
from services.store.settings import StoreSettings
from services.worker.settings import WorkerSettings

_ROLES: dict[str, Any] = {
    "store": StoreSettings,
    "coordinator": CoordinatorSettings,
    "worker": WorkerSettings,
    "embedded": EmbeddedSettings,
}


@pytest.mark.parametrize("arguments", [["--verbose"], ["start"], ["migrate", "new-epoch"], [""]])
@pytest.mark.parametrize("role", _ROLES)
def test_an_argument_that_is_not_known_starts_nothing(
    role: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main = importlib.import_module(f"services.{role}.__main__").main
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith(f"usage: python -m services.{role} [--help")
    assert f"not understood: {' '.join(arguments)}\n" in err


@pytest.mark.parametrize("arguments", [["-h"], ["migrate", "--help"], ["--verbose", "-h"]])
def test_help_counts_wherever_it_stands(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert importlib.import_module("services.store.__main__").main(arguments) == 0
    assert "[--help | migrate | new-epoch]\n" in capsys.readouterr().out


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What an example reads.

    Attributes:
        grace_seconds: how long it waits, which may well be
            longer than a line.
        reflection: whether it is open.
        peers: who else is there; `a:1` each.
    """

    grace_seconds: float = 35.0
    reflection: bool = True
    peers: tuple[str, ...] = ()


def test_settings_are_described_by_their_class_alone() -> None:
    assert described(Example) == (
        "Settings, read from the environment:\n"
        "  CRESCENDO_GRACE_SECONDS (default: 35)\n"
        "      how long it waits, which may well be longer than a line.\n"
        "  CRESCENDO_REFLECTION (default: true)\n"
        "      whether it is open.\n"
        "  CRESCENDO_PEERS (default: none)\n"
        "      who else is there; `a:1` each.\n"
    )


@pytest.mark.parametrize("role", _ROLES)
def test_every_setting_that_is_listed_has_words(role: str) -> None:
    lines = described(_ROLES[role]).splitlines()
    for place, line in enumerate(lines):
        if line.startswith("  CRESCENDO_"):
            assert lines[place + 1].startswith("      "), line

"""What every role's process does before it starts anything: answers for help, refuses wrong settings."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from typing import Any

import pytest

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


@pytest.mark.parametrize("role", _ROLES)
def test_help_is_answered_by_every_process_whatever_its_settings(role: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"services.{role}", "--help"],
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "CRESCENDO_LOG_LEVEL": "loud",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, blank, about, *_ = done.stdout.splitlines()
    assert first.startswith(f"usage: python -m services.{role} [--help")
    assert not blank
    assert about
    for each in dataclasses.fields(_ROLES[role]):
        assert f"  CRESCENDO_{each.name.upper()} (default: " in done.stdout


@pytest.mark.parametrize(
    ("role", "variable", "value"),
    [
        *((role, "LOG_LEVEL", "loud") for role in ("store", "coordinator", "worker", "embedded")),
        ("worker", "WORKER_CLASS", "gpu a100"),
        ("coordinator", "QUEUE_PREFIX", "a b"),
    ],
)
def test_every_role_refuses_to_start_with_wrong_settings(
    role: str, variable: str, value: str
) -> None:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("CRESCENDO_")}
    environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-m", f"services.{role}"],
        env=environ | {f"CRESCENDO_{variable}": value},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"wrong settings: CRESCENDO_{variable}={value!r}: ")

"""What must be set before gRPC is imported is set, in every role."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_SCRIPT = """
import importlib, os, sys

class Watcher:
    def find_spec(self, name, path, target=None):
        if name == "grpc":
            print(os.environ.get("GRPC_ENABLE_FORK_SUPPORT"), flush=True)
        return None

sys.meta_path.insert(0, Watcher())
importlib.import_module(sys.argv[1])
"""


@pytest.mark.parametrize("role", ["store", "coordinator", "worker", "embedded"])
def test_grpc_runs_no_handlers_in_forked_children(role: str) -> None:
    environ = {
        name: value for name, value in os.environ.items() if name != "GRPC_ENABLE_FORK_SUPPORT"
    }
    environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, f"services.{role}.__main__"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == "0\n"

"""The embedded services as a process, on a folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from crescendo.client.addresses import Addresses, local_addresses

_START_SECONDS = 120.0
_STOP_SECONDS = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """Embedded services that run."""

    process: subprocess.Popen[str]
    addresses: Addresses


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder the account Postgres runs under can reach; pytest's own are closed to it."""
    with tempfile.TemporaryDirectory(prefix="crescendo-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o755)
        yield Path(made)


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """The environment of services with data in `folder`, on free ports."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CRESCENDO_")}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "CRESCENDO_DATA_DIR": str(folder),
        "CRESCENDO_COORDINATOR_LISTEN": "127.0.0.1:0",
        "CRESCENDO_STORE_LISTEN": "127.0.0.1:0",
        "CRESCENDO_STORE_INTERNAL_LISTEN": "127.0.0.1:0",
        "CRESCENDO_WORKER_SLOTS": "2",
        **variables,
    }


def launch(environ: Mapping[str, str]) -> subprocess.Popen[str]:
    """Starts the services without waiting for them."""
    return subprocess.Popen(
        [sys.executable, "-m", "services.embedded"],
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def embedded(folder: Path, **variables: str) -> Iterator[Embedded]:
    """Runs the services and waits until they are ready; ends them with SIGTERM."""
    process = launch(environment(folder, **variables))
    try:
        deadline = time.monotonic() + _START_SECONDS
        while (addresses := local_addresses(folder, pid=process.pid)) is None:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                pytest.fail(f"the services did not start:\n{process.communicate()[0]}")
            time.sleep(0.05)
        yield Embedded(process=process, addresses=addresses)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.communicate(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            pytest.fail(f"the services did not stop within {_STOP_SECONDS:g} s of SIGTERM")

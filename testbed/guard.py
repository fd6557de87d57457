"""Ends what a test run has started when the run itself is killed and cannot.

A small process waits on a pipe: it is told of every process that starts and ends, and when the pipe
breaks it ends those that are left. `python -m testbed.guard` is that process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from functools import cache

from testbed.paths import ROOT


def guarded(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Has the process group `pid` leads sent a signal if this run dies."""
    _tell(f"{pid} {int(number)}")


def released(pid: int) -> None:
    """Forgets a process: it has ended."""
    _tell(f"{pid} 0")


def _tell(line: str) -> None:
    pipe = _guard().stdin
    if pipe is not None:
        with contextlib.suppress(BrokenPipeError):
            pipe.write(f"{line}\n".encode())
            pipe.flush()


@cache
def _guard() -> subprocess.Popen[bytes]:
    # Of its own session: what kills the run's group does not kill it too.
    return subprocess.Popen(
        [sys.executable, "-m", "testbed.guard"],
        stdin=subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,
    )


def main() -> None:
    """Waits for the pipe's end and cleans up."""
    left: dict[int, int] = {}
    for line in sys.stdin:
        pid, number = (int(part) for part in line.split())
        if number:
            left[pid] = number
        else:
            left.pop(pid, None)
    for pid, number in left.items():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)


if __name__ == "__main__":
    main()

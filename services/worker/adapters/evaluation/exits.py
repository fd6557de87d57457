"""Whether and how a process ended."""

from __future__ import annotations

import os
import signal


def has_exited(pid: int) -> bool:
    """Asks the kernel, which knows before the event loop does; leaves the exit status to be waited for."""
    if not hasattr(os, "waitid"):
        return False
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True  # Waited for already.


def cause(code: int) -> str:
    """Says in words what an exit status means."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"

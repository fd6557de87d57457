"""A wall clock that goes wrong by a fixed time; the monotonic one is left alone, as on a real machine."""

from __future__ import annotations

import sys
import time as time_module

# The half of gRPC that is written in C reads the machine's clock, which is right: its other half, in
# Python, computes deadlines for it. On a machine whose clock is wrong both would be wrong alike.
_TRANSPORT = ("grpc", "asyncio")


def install(shift_seconds: float) -> None:
    """Moves what `time.time` and `time.time_ns` tell this process.

    `datetime.now` stays: compiled libraries hold on to its class. No service calls it.
    """
    real_time, real_time_ns = time_module.time, time_module.time_ns

    def time() -> float:
        return real_time() + (0 if _asked_by_transport() else shift_seconds)

    def time_ns() -> int:
        return real_time_ns() + (0 if _asked_by_transport() else int(shift_seconds * 1e9))

    time_module.time, time_module.time_ns = time, time_ns


def _asked_by_transport() -> bool:
    # Its compiled code has no frames of its own: what called it has.
    caller: str = sys._getframe(2).f_globals.get("__name__", "")
    return caller.partition(".")[0] in _TRANSPORT

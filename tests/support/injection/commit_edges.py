"""Death at the edge of a commit: just before a call goes out, or once it was carried out and answered."""

from __future__ import annotations

import os
import signal
from typing import Any


def install(rpc: str, edge: str) -> None:
    """Kills this process at its first call of an RPC.

    Args:
        rpc: a method's name, such as `CreateTrials`.
        edge: `before` or `after`; after, the answer has come and nobody has read it.
    """
    # The class behind every stub's method; grpc.aio itself exports the abstract one only.
    from grpc.aio._channel import UnaryUnaryMultiCallable

    real = UnaryUnaryMultiCallable.__call__

    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        if not self._method.endswith(f"/{rpc}".encode()):
            return real(self, *arguments, **named)
        if edge == "before":
            _die()
        started = real(self, *arguments, **named)
        started.add_done_callback(lambda _: _die())
        return started

    UnaryUnaryMultiCallable.__call__ = call  # type: ignore[method-assign]  # (that is the fault)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)

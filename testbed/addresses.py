"""Loopback ports and what answers on them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import random
import socket
from collections.abc import Coroutine
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


def free_port() -> int:
    """Gives a TCP port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def lasting_ports(count: int) -> list[int]:
    """Gives free ports for servers that start on them later, or stop and come back.

    They lie below the range the kernel takes ports of outgoing connections from: while such a server
    is away, nobody else gets its port by chance, nor does a client that tries it reach itself.
    """
    found: list[int] = []
    while len(found) < count:
        # Of the system's chance: what a test seeds for itself must not give two of them the same ports.
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def run_apart(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Runs a coroutine to its end on a loop of its own, away from the test's loop.

    For synchronous fixtures: they are set up between the loops of asynchronous ones.
    """
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, coroutine).result()

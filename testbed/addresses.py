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


def free_ports(count: int) -> list[int]:
    """Gives several different free ports."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def lasting_ports(count: int) -> list[int]:
    """Gives free ports for servers that stop and come back on them.

    They lie below the range the kernel takes ports of outgoing connections from: while such a server
    is away, nobody else gets its port by chance.
    """
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(15_000, 32_000)
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

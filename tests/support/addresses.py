"""Loopback ports and what answers on them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import socket
import threading
from collections.abc import Awaitable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
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


def run_apart(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Runs a coroutine to its end on a loop of its own, away from the test's loop.

    For synchronous fixtures: they are set up between the loops of asynchronous ones.
    """
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, coroutine).result()


@contextlib.contextmanager
def entered_apart(manager: AbstractAsyncContextManager[ResultT]) -> Iterator[ResultT]:
    """Keeps an asynchronous context manager entered on a loop of its own in another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        entered = asyncio.run_coroutine_threadsafe(_entered(manager), loop).result()
        try:
            yield entered
        finally:
            leaving = manager.__aexit__(None, None, None)
            asyncio.run_coroutine_threadsafe(_awaited(leaving), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _awaited(leaving: Awaitable[bool | None]) -> None:
    await leaving


async def _entered(manager: AbstractAsyncContextManager[ResultT]) -> ResultT:
    return await manager.__aenter__()

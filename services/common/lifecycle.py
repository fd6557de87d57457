"""Running a service from the command line until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog
import uvloop

# gRPC would run its handlers in every forked child, where they abort now and then before the child
# becomes another program (1 of 100 starts, measured under load with uvloop). All processes started
# here exec at once and need no handlers. Read when gRPC is imported: every `__main__` imports this first.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

logger = structlog.get_logger()


def run_until_signal(start: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
    """Runs a service until SIGTERM or SIGINT, then lets it drain.

    Args:
        start: makes the service's context manager; entering starts it, leaving drains it. A second
            signal while draining ends the process at once.
    """
    uvloop.run(_run(start))


async def _run(start: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        logger.info("stopping", signal=number.name)
        stop.set()
        # From here on the default action ends the process: a person who insists is heard.
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    await _serve(start, stop)
    logger.info("stopped")


async def _serve(
    start: Callable[[], AbstractAsyncContextManager[Any]], stop: asyncio.Event
) -> None:
    manager = start()
    entering = asyncio.ensure_future(manager.__aenter__())
    stopping = asyncio.ensure_future(stop.wait())
    # A signal during a start that waits (for Postgres, say) must not wait with it.
    await asyncio.wait({entering, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not entering.done():
        entering.cancel()
        await asyncio.gather(entering, return_exceptions=True)
        return
    stopping.cancel()
    entering.result()
    try:
        await stop.wait()
    finally:
        await manager.__aexit__(None, None, None)

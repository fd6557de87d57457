"""Running a service from the command line until it is told to stop, or until it cannot go on."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog
import uvloop

from services.common.vitals import Vitals

# gRPC would run its handlers in every forked child, where they abort now and then before the child
# becomes another program (1 of 100 starts, measured under load with uvloop). All processes started
# here exec at once and need no handlers. Read when gRPC is imported: every `__main__` imports this first.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
# gRPC's core writes lines of its own to stderr, past every pipeline; what matters in them comes as
# status too.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

logger = structlog.get_logger()

FAILED_STATUS = 70
# New objects between two collections of the young: a batch of trials makes thousands, and hardly a cycle.
_COLLECTED_AFTER = 20_000
# A process that has lost a vital part may be unable to drain: it is ended anyway after this.
_FAILED_DRAIN_SECONDS = 60.0

Start = Callable[[Vitals], AbstractAsyncContextManager[Any]]


def run_until_signal(start: Start, *, failed_drain_seconds: float = _FAILED_DRAIN_SECONDS) -> int:
    """Runs a service until SIGTERM, SIGINT or the end of a critical task, then lets it drain.

    Args:
        start: makes the service's context manager; entering starts it, leaving drains it. A second
            signal while draining ends the process at once.
        failed_drain_seconds: how long draining may take once a critical task has ended.

    Returns: the process's exit status: 0 after a signal, 70 after the end of a critical task.
    Raises: whatever entering raises.
    """
    return uvloop.run(_run(start, failed_drain_seconds))


def run_service(start: Start, *, failed_drain_seconds: float = _FAILED_DRAIN_SECONDS) -> int:
    """As `run_until_signal`; what keeps the service from starting is logged and becomes status 1."""
    try:
        return run_until_signal(start, failed_drain_seconds=failed_drain_seconds)
    except Exception as error:
        # Its last hearer: the log redacts what a traceback on stderr would show.
        logger.critical("cannot start or go on", exc_info=error)
        return 1


async def _run(start: Start, failed_drain_seconds: float) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    vitals = Vitals()

    def on_signal(number: signal.Signals) -> None:
        logger.info("stopping", signal=number.name)
        stop.set()
        # From here on the default action ends the process: a person who insists is heard.
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    await _serve(lambda: start(vitals), stop, vitals, failed_drain_seconds)
    if vitals.failure is not None:
        logger.critical("ended because of a failure", task=vitals.failure.name)
        return FAILED_STATUS
    logger.info("stopped")
    return 0


async def _serve(
    start: Callable[[], AbstractAsyncContextManager[Any]],
    stop: asyncio.Event,
    vitals: Vitals,
    failed_drain_seconds: float,
) -> None:
    manager = start()
    entering = asyncio.ensure_future(manager.__aenter__())
    stopping = asyncio.ensure_future(stop.wait())
    failing = asyncio.ensure_future(vitals.wait_failed())
    try:
        # A signal during a start that waits (for Postgres, say) must not wait with it.
        await asyncio.wait({entering, stopping, failing}, return_when=asyncio.FIRST_COMPLETED)
        if not entering.done():
            entering.cancel()
            await asyncio.gather(entering, return_exceptions=True)
            return
        entering.result()
        _spare_what_stays()
        try:
            await asyncio.wait({stopping, failing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if failing.done():
                _end_anyway(failed_drain_seconds)
            await manager.__aexit__(None, None, None)
    finally:
        stopping.cancel()
        failing.cancel()


def _spare_what_stays() -> None:
    """Has the garbage collector leave alone what a started service holds: modules, mostly.

    Looking through hundreds of thousands of objects that stay took a fifth of a busy store's processor
    time; after this only what came later is looked through, and less often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_AFTER, 20, 20)


def _end_anyway(seconds: float) -> None:
    """Ends the process after so long, whatever the event loop does until then."""

    def end() -> None:
        logger.critical("draining after a failure took too long", limit_seconds=seconds)
        os._exit(FAILED_STATUS)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()

"""Starting child processes."""

from __future__ import annotations

import asyncio
import os
import sys

import structlog

from services.worker.adapters.evaluation.environment import child_environment
from services.worker.adapters.evaluation.limits import ChildLimits
from services.worker.adapters.evaluation.marks import MARK
from services.worker.adapters.evaluation.process import Child

logger = structlog.get_logger()

_MODULE = "services.worker.child"
_START_SECONDS = 120.0
_START_ATTEMPTS = 3
_START_PAUSE_SECONDS = 0.5


async def start_child(mark: str, limits: ChildLimits) -> Child:
    """Starts a child and waits until it is ready; tries again when it ends at its very start.

    Args:
        mark: names its family among all there are.

    Raises: OSError: it cannot be started.
    """
    for _ in range(_START_ATTEMPTS - 1):
        try:
            return await _start_once(mark, limits)
        except OSError as error:
            logger.warning("child did not start; trying again", error=str(error))
            await asyncio.sleep(_START_PAUSE_SECONDS)
    return await _start_once(mark, limits)


async def _start_once(mark: str, limits: ChildLimits) -> Child:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        _MODULE,
        str(os.getpid()),
        str(limits.memory_bytes or 0),
        str(limits.prefix_cache_bytes),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=child_environment(dict(os.environ)) | {MARK: mark},
        # A group of its own: signals reach whatever it starts, and a terminal's Ctrl-C does not.
        start_new_session=True,
    )
    child = Child(process, mark=mark, limits=limits)
    try:
        await child.greeting(patience_seconds=_START_SECONDS)
    except BaseException:
        await asyncio.shield(child.kill())
        raise
    return child

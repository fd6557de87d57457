"""The process that ends, after this one, what its children left behind."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress

import psutil
import structlog

from services.worker.adapters.evaluation.environment import child_environment

logger = structlog.get_logger()

_MODULE = "services.worker.guard"
_END_SECONDS = 5.0


class Guard:
    """Keeps a guard process; one that ends is replaced when there is something to tell it.

    Args:
        mark: the beginning of all its families' marks.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._process: asyncio.subprocess.Process | None = None
        self._seen: dict[int, float] = {}

    async def keep(self) -> None:
        """Starts the process unless it runs; says so in the log when it cannot be started."""
        if self._process is not None:
            if self._process.returncode is None:
                return
            logger.warning("guard process ended; starting another", code=self._process.returncode)
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                _MODULE,
                self._mark,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env=child_environment(dict(os.environ)),
                # Whatever ends the worker's group must leave it alone for its last moment.
                start_new_session=True,
            )
        except OSError as error:
            logger.error("no guard process: a killed worker may leave processes", error=str(error))
            return
        self._tell(self._seen)

    def remember(self, relatives: Iterable[psutil.Process]) -> None:
        """Tells it of processes that may one day be found by nothing but their number and beginning."""
        new = {}
        for each in relatives:
            with suppress(psutil.Error):
                new[each.pid] = each.create_time()
        self._seen |= new
        self._tell(new)

    def forget_all_but(self, pids: set[int]) -> None:
        """Forgets those that ended."""
        self._seen = {pid: began for pid, began in self._seen.items() if pid in pids}

    async def close(self) -> None:
        """Lets it do its work and end."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await process.wait()
        except TimeoutError:
            logger.warning("guard process does not end: killed", pid=process.pid)
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _tell(self, seen: Mapping[int, float]) -> None:
        if self._process is not None and self._process.stdin is not None:
            # A pipe that broke just now: the next `keep` starts another and tells it all.
            with suppress(RuntimeError, OSError):
                self._process.stdin.write(b"".join(b"%d %f\n" % each for each in seen.items()))

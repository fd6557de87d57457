"""What a child prints: read so that it never blocks, logged up to a limit, otherwise dropped."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

logger = structlog.get_logger()

_CHUNK_BYTES = 64 * 1024
_LOGGED_BYTES = 8 * 1024
_TAIL_BYTES = 4 * 1024


class OutputDrain:
    """Reads a child's standard error, and what it prints, to the end."""

    def __init__(self, source: asyncio.StreamReader, *, pid: int) -> None:
        self._source = source
        self._pid = pid
        self._left = _LOGGED_BYTES
        self._dropped = 0
        self._last = b""
        self._task = asyncio.create_task(self._run())

    def begin(self) -> None:
        """Begins a new evaluation, with a new allowance."""
        if self._dropped:
            logger.warning("child printed too much", pid=self._pid, dropped_bytes=self._dropped)
        self._left = _LOGGED_BYTES
        self._dropped = 0

    def tail(self) -> str:
        """Gives the end of what was printed."""
        return self._last.decode(errors="replace")

    async def close(self) -> None:
        """Stops reading, once everything printed before the end was read or a second has passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await asyncio.shield(self._task)
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        while chunk := await self._source.read(_CHUNK_BYTES):
            self._last = (self._last + chunk)[-_TAIL_BYTES:]
            shown = chunk[: self._left]
            self._left -= len(shown)
            self._dropped += len(chunk) - len(shown)
            if shown:
                logger.info("child printed", pid=self._pid, text=shown.decode(errors="replace"))

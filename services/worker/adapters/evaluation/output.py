"""What a child prints: read so that it never blocks, logged by lines up to a limit, otherwise dropped."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress

import structlog

logger = structlog.get_logger()

_CHUNK_BYTES = 64 * 1024
# A child may print this much at once, and as much again every ten seconds.
_LOGGED_BYTES = 8 * 1024
_LOGGED_BYTES_PER_SECOND = _LOGGED_BYTES / 10
# Each line of log costs more than what it quotes.
_LEAST_BYTES = 128
_TAIL_BYTES = 4 * 1024
# A line is written in pieces, by a crash handler in hundreds; this long after one no other is to come.
_QUIET_SECONDS = 0.5
# Several times the longest line that a crash writes: its list of extension modules.
_LINE_BYTES = 64 * 1024
# Longer than all the rest of a crash's last words, and of no use to whoever reads them.
_NOISE_BEGINS = b"Extension modules: "
_NOISE = re.compile(rb"^" + _NOISE_BEGINS + rb".*(?:\n|\Z)", re.MULTILINE)


class OutputDrain:
    """Reads a child's standard error, and what it prints, to the end.

    A line ends with its newline. One that has none yet ends once the child is silent for a moment,
    another evaluation begins, the child ends, or the line gets too long.
    """

    def __init__(self, source: asyncio.StreamReader, *, pid: int) -> None:
        self._source = source
        self._pid = pid
        self._left = float(_LOGGED_BYTES)
        self._refilled = time.monotonic()
        self._dropped = 0
        self._rest = b""
        self._last = b""
        self._task = asyncio.create_task(self._run())

    def begin(self) -> None:
        """Begins a new evaluation: says how much of the last one's output was dropped."""
        self._end_line()
        if self._dropped:
            logger.warning("child printed too much", pid=self._pid, dropped_bytes=self._dropped)
        self._dropped = 0

    def tail(self) -> str:
        """Gives the end of what was printed."""
        return (self._last + self._rest)[-_TAIL_BYTES:].decode(errors="replace")

    async def close(self) -> None:
        """Stops reading, once everything printed before the end was read or a second has passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await asyncio.shield(self._task)
        self._task.cancel()
        await asyncio.wait({self._task})
        self.begin()

    async def _run(self) -> None:
        while chunk := await self._read():
            lines, newline, self._rest = (self._rest + chunk).rpartition(b"\n")
            self._take(lines + newline)
            if len(self._rest) >= _LINE_BYTES:
                self._end_line()

    async def _read(self) -> bytes:
        while self._rest:
            try:
                async with asyncio.timeout(_QUIET_SECONDS):
                    return await self._source.read(_CHUNK_BYTES)
            except TimeoutError:
                self._end_line()
        return await self._source.read(_CHUNK_BYTES)

    def _end_line(self) -> None:
        line, self._rest = self._rest, b""
        self._take(line)

    def _take(self, printed: bytes) -> None:
        """Logs lines as far as they may be, and keeps the end of them."""
        if _NOISE_BEGINS in printed:
            printed = _NOISE.sub(b"", printed)
        self._last = (self._last + printed)[-_TAIL_BYTES:]
        start = 0
        while start < len(printed) and (allowance := self._allowance()) >= _LEAST_BYTES:
            end = printed.find(b"\n", start) + 1 or len(printed)
            line = printed[start:end].rstrip()
            start = end
            shown = line[:allowance]
            self._dropped += len(line) - len(shown)
            # Empty ones too: there may be millions.
            self._left -= max(len(shown), _LEAST_BYTES)
            if shown:
                logger.info("child printed", pid=self._pid, text=shown.decode(errors="replace"))
        self._dropped += len(printed) - start

    def _allowance(self) -> int:
        now = time.monotonic()
        self._left += (now - self._refilled) * _LOGGED_BYTES_PER_SECOND
        self._left = min(self._left, _LOGGED_BYTES)
        self._refilled = now
        return max(0, int(self._left))

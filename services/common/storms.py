"""No log storms: a warning that an outage repeats is said once in a while, with a count.

Opt in where it is logged: `logger.warning("…", limit_seconds=10)`. Lines about single things (a trial, a
session) are never thinned out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import structlog

# What tells one outage from another; everything else (attempts, delays, ids of requests) varies.
_KEY = ("event", "level", "reason", "connection", "queue")
_MAX_KEYS = 500


@dataclass(slots=True)
class _Line:
    said_at: float
    dropped: int = 0


class Storms:
    """Remembers what was said lately.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lines: dict[tuple[str, ...], _Line] = {}

    def __call__(
        self, _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Lets a line through, with how many like it were dropped since the last.

        Raises: structlog.DropEvent: it was said within its limit.
        """
        limit = event.pop("limit_seconds", None)
        if limit is None:
            return event
        key = tuple(str(event.get(each, ""))[:200] for each in _KEY)
        now = self._clock()
        line = self._lines.get(key)
        if line is not None and now - line.said_at < limit:
            line.dropped += 1
            raise structlog.DropEvent
        if line is not None and line.dropped:
            event["repeated"] = line.dropped
        if len(self._lines) >= _MAX_KEYS:
            # Texts that never repeat would fill it for ever.
            self._lines.clear()
        self._lines[key] = _Line(now)
        return event


thin_out = Storms()

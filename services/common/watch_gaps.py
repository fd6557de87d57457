"""The counter of what must never happen: an event left out of a watch."""

from __future__ import annotations

from prometheus_client import Counter

WATCH_GAPS = Counter(
    "crescendo_rpc_watch_gaps", "Events that were left out of a watch: each one is a bug.", ["role"]
)


class WatchGaps:
    """Counts gaps for one role."""

    def __init__(self, role: str) -> None:
        self._counter = WATCH_GAPS.labels(role=role)

    def gap_found(self) -> None:
        """A log lacks an event between others."""
        self._counter.inc()

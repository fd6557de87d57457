"""Removing what nobody needs any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedLog:
    """A log with events whose orchestration ended."""

    orchestration_id: str
    ended_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What one step removed; `more` when there is more of the same."""

    count: int
    more: bool


class RetentionStore(Protocol):
    """Removes old rows in small steps, each a transaction of its own. Raises: Unavailable."""

    async def ended_before(
        self, seconds: float, *, after: EndedLog | None, limit: int
    ) -> Sequence[EndedLog]:
        """Lists logs with events whose orchestrations ended so long ago, oldest first.

        None of an orchestration that still holds money for an attempt: it is about to be settled.
        """
        ...

    async def forget_steps(
        self, orchestration_id: str, *, ended_before_seconds: float, limit: int
    ) -> Forgotten:
        """Removes what trials came to after each step, unless their orchestration was reopened meanwhile.

        What was decided about a trial stays with it.
        """
        ...

    async def forget_costs(
        self, orchestration_id: str, *, ended_before_seconds: float, limit: int
    ) -> Forgotten:
        """Removes what attempts cost, unless their orchestration was reopened or holds money for one.

        Their sum stays with the orchestration.
        """
        ...

    async def forget_events(
        self, orchestration_id: str, *, ended_before_seconds: float, limit: int
    ) -> Forgotten:
        """Removes the oldest events of a log, unless its orchestration was reopened meanwhile."""
        ...

    async def forget_requests(self, *, older_than_seconds: float, limit: int) -> Forgotten:
        """Removes the oldest request ids."""
        ...

    async def forget_sessions(self, *, ended_before_seconds: float, limit: int) -> Forgotten:
        """Removes sessions that ended and under which no trial runs."""
        ...

"""Following event logs as they grow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, Self

from services.store.ports.results import LogPosition, StoredEvent


class EpochOver(Exception):
    """Another epoch has begun: what was watched is another log now."""


class EventsMissing(Exception):
    """The next event is not there although later ones are: it was removed, or never stored."""


class Follower(Protocol):
    """One watcher's view of a log, for as long as it is entered."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    @property
    def observed_at(self) -> datetime | None:
        """The database's time when it was last asked."""
        ...

    def has_ended(self, *, at: int) -> bool:
        """Whether the log's last event has this sequence number and is final."""
        ...

    async def next_page(self, *, after: int, seconds: float) -> Sequence[StoredEvent]:
        """Gives the next events after a sequence number as soon as there are any; none in time: empty.

        Raises:
            EpochOver: another epoch has begun.
            EventsMissing: the next event is not there.
            Unavailable: the replica is draining, or the database is away.
        """
        ...


class Feed(Protocol):
    """Follows logs for all watchers of a replica."""

    def following(
        self, orchestration_id: str, *, epoch: str, position: LogPosition, observed_at: datetime
    ) -> Follower:
        """Follows a log that was found at a position."""
        ...


class GapCounter(Protocol):
    """Counts what must never happen."""

    def gap_found(self) -> None:
        """A log lacks an event between others."""
        ...

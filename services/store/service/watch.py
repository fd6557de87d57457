"""Watching: the event log as a stream that can be resumed anywhere without a gap."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import structlog

from services.core.errors import (
    Conflict,
    CrescendoError,
    CursorOutOfRange,
    FieldViolation,
    InvalidRequest,
)
from services.core.run import Orchestration
from services.store.ports.reading import EventReader
from services.store.ports.results import LogPosition, StoredEvent
from services.store.ports.watching import EpochOver, EventsMissing, Feed, Follower, GapCounter
from services.store.service.identifiers import canonical_id, not_found

logger = structlog.get_logger()

_MAX_SEQUENCE = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state a watch starts from; its `last_sequence` is the cursor it goes on from."""

    orchestration: Orchestration
    epoch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Events in order, without gap to what came before; never empty."""

    events: tuple[StoredEvent, ...]
    epoch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmark:
    """A sign of life of a quiet watch; `observed_at` is the database's time when it was last asked."""

    sequence: int
    observed_at: datetime | None
    epoch: str


Part: TypeAlias = Snapshot | Page | Bookmark


class Watching:
    """Streams logs to watchers, each of which is only a cursor."""

    def __init__(
        self,
        events: EventReader,
        feed: Feed,
        gaps: GapCounter,
        *,
        bookmark_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._events = events
        self._feed = feed
        self._gaps = gaps
        self._bookmark_seconds = bookmark_seconds
        self._monotonic = monotonic

    async def watch(
        self, orchestration_id: str, *, after_sequence: int | None, epoch: str | None = None
    ) -> AsyncGenerator[Part, None]:
        """Yields a snapshot (without cursor), then pages of events and bookmarks, to the final event.

        Every error after the first message names the last sequence written, `last_sequence`; the part
        that a client which does not read has not taken yet counts as written.

        Args:
            epoch: the one the cursor was read in; None leaves it unchecked.

        Raises:
            NotFound: there is no such orchestration.
            InvalidRequest: the cursor is negative.
            CursorOutOfRange: the cursor lies before what is kept (CURSOR_EXPIRED) or beyond the log's
                end (CURSOR_AHEAD).
            Conflict: another epoch than the given one holds, or begins meanwhile (EPOCH_CHANGED).
            Unavailable: the replica is draining or the database away; resume after the last event.
        """
        orchestration_id = canonical_id("orchestration", orchestration_id)
        part: Part | None = None
        if after_sequence is None:
            part, follower = await self._snapshot(orchestration_id, epoch)
            stream = _Stream(orchestration_id, part.epoch, part.orchestration.last_sequence)
        else:
            cursor = _checked(after_sequence)
            position, found, observed_at = await self._resume(orchestration_id, cursor, epoch)
            follower = self._feed.following(
                orchestration_id, epoch=found, position=position, observed_at=observed_at
            )
            stream = _Stream(orchestration_id, found, cursor)
        bookmark_at = self._monotonic() + self._bookmark_seconds
        # One generator with few names, and nothing kept of what was sent: thousands of these wait.
        with follower:
            try:
                while True:
                    if part is not None:
                        # Before it is written: a write that is given up waits in the transport and
                        # arrives all the same, so who resumes behind it must not be sent it again.
                        stream.sent = _sequence_of(part)
                        yield part
                        bookmark_at = self._monotonic() + self._bookmark_seconds
                        part = None
                    if follower.has_ended(at=stream.sent):
                        return
                    part = await self._next(stream, follower, bookmark_at)
            except EpochOver:
                raise epoch_changed(None, last_sequence=stream.sent) from None
            except EventsMissing:
                await self._explain_missing(stream)
            except CrescendoError as error:
                error.metadata.setdefault("last_sequence", str(stream.sent))
                raise

    async def _snapshot(
        self, orchestration_id: str, epoch: str | None
    ) -> tuple[Snapshot, Follower]:
        found = await self._events.snapshot(orchestration_id)
        if found is None:
            # The epoch first, where that is why something is not there.
            now = await self._events.positions([orchestration_id])
            check_epoch(epoch, now.epoch, last_sequence=0)
            raise not_found("orchestration", orchestration_id)
        orchestration = found.orchestration
        check_epoch(epoch, found.epoch, last_sequence=orchestration.last_sequence)
        follower = self._feed.following(
            orchestration_id,
            epoch=found.epoch,
            position=LogPosition(
                first_sequence=orchestration.first_sequence,
                last_sequence=orchestration.last_sequence,
                ended=orchestration.state.is_terminal,
            ),
            observed_at=found.observed_at,
        )
        return Snapshot(orchestration=orchestration, epoch=found.epoch), follower

    async def _next(
        self, stream: _Stream, follower: Follower, bookmark_at: float
    ) -> Page | Bookmark | None:
        """Gives the next part of a stream; none where the log may have ended."""
        seconds = max(0.0, bookmark_at - self._monotonic())
        events = await follower.next_page(after=stream.sent, seconds=seconds)
        if events:
            if events[0].sequence != stream.sent + 1:
                raise EventsMissing
            return Page(events=tuple(events), epoch=stream.epoch)
        if self._monotonic() >= bookmark_at:
            return Bookmark(
                sequence=stream.sent, observed_at=follower.observed_at, epoch=stream.epoch
            )
        return None

    async def _explain_missing(self, stream: _Stream) -> None:
        """Says why the event after the last one sent is not there. Raises: always."""
        cursor = stream.sent
        await self._resume(stream.orchestration_id, cursor, stream.epoch)
        self._gaps.gap_found()
        logger.critical(
            "an event log has a gap", orchestration_id=stream.orchestration_id, after=cursor
        )
        raise RuntimeError(f"the log of {stream.orchestration_id} has a gap after event {cursor}")

    async def _resume(
        self, orchestration_id: str, cursor: int, epoch: str | None
    ) -> tuple[LogPosition, str, datetime]:
        found = await self._events.positions([orchestration_id])
        position = found.logs.get(orchestration_id)
        check_epoch(epoch, found.epoch, last_sequence=position.last_sequence if position else 0)
        if position is None:
            raise not_found("orchestration", orchestration_id)
        check_cursor(orchestration_id, position, cursor)
        return position, found.epoch, found.observed_at


@dataclass(slots=True)
class _Stream:
    """One watch: which log it is of, and the last sequence number that was given to be written."""

    orchestration_id: str
    epoch: str
    sent: int


def check_epoch(asked: str | None, found: str, *, last_sequence: int) -> None:
    """Raises: Conflict: the cursor was read in another epoch (EPOCH_CHANGED)."""
    if asked is not None and asked != found:
        raise epoch_changed(found, last_sequence=last_sequence)


def epoch_changed(epoch: str | None, *, last_sequence: int) -> Conflict:
    """Makes the error of a watch whose epoch is over."""
    metadata = {"last_sequence": str(last_sequence)}
    if epoch is not None:
        metadata["epoch"] = epoch
    return Conflict(
        "the database was restored and may have lost events, so numbers mean other events now; forget"
        " what you have seen and watch without after_sequence, from a snapshot",
        reason="EPOCH_CHANGED",
        metadata=metadata,
    )


def check_cursor(orchestration_id: str, position: LogPosition, cursor: int) -> None:
    """Raises: CursorOutOfRange: events after the cursor were removed, or it lies beyond the end."""
    metadata = {
        "first_sequence": str(position.first_sequence),
        "last_sequence": str(position.last_sequence),
    }
    if cursor > position.last_sequence:
        raise CursorOutOfRange(
            f"the log of orchestration {orchestration_id} ends at event {position.last_sequence},"
            f" there is nothing to resume after event {cursor}; watch without after_sequence, from a"
            " snapshot",
            reason="CURSOR_AHEAD",
            metadata=metadata,
        )
    if cursor + 1 < position.first_sequence:
        raise CursorOutOfRange(
            f"the events of orchestration {orchestration_id} up to {position.first_sequence - 1} were"
            f" removed long after its end, event {cursor + 1} among them; watch without"
            f" after_sequence, from a snapshot, or resume after event {position.first_sequence - 1}",
            reason="CURSOR_EXPIRED",
            metadata=metadata,
        )


def _checked(after_sequence: int) -> int:
    if not 0 <= after_sequence <= _MAX_SEQUENCE:
        raise InvalidRequest(
            [
                FieldViolation(
                    field="after_sequence",
                    description=f"is {after_sequence}, must be 0 (the whole log) or above",
                )
            ]
        )
    return after_sequence


def _sequence_of(part: Part) -> int:
    match part:
        case Snapshot():
            return part.orchestration.last_sequence
        case Page():
            return part.events[-1].sequence
        case Bookmark():
            return part.sequence

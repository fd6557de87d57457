"""Following an orchestration's events through dropped streams, without a gap."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc

from crescendo.client import event_decoding
from crescendo.client.errors import (
    CrescendoError,
    CursorAhead,
    CursorExpired,
    EpochChanged,
    WatchGap,
)
from crescendo.client.events import Event, Snapshot, WatchItem
from tuning.v1 import run_service_pb2 as run_pb

# A broken connection shows as any of these, depending on what broke and what stands between.
_DROPPED = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)


# These may also be faults of the server's own, which no patience mends.
_PERHAPS_FAULTS = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})
_FAULT_ATTEMPTS = 5
# A store that says this works, and wants to be asked again.
_COME_AGAIN = frozenset({"TOO_MANY_WATCHES", "DRAINING"})
# The log cannot be taken up where it was left.
_LOST = (EpochChanged, CursorExpired, CursorAhead)

OpenStream = Callable[[run_pb.WatchOrchestrationRequest], Any]
Decode = Callable[[grpc.RpcError], CrescendoError]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """A dropped stream: after `delay_seconds` it is taken up again behind `after_sequence`."""

    error: CrescendoError
    attempt: int
    delay_seconds: float
    after_sequence: int | None


OnInterruption = Callable[[Interruption], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How a dropped stream is taken up again: exponential delays with full jitter.

    Attributes:
        first_seconds: upper end of the first delay.
        longest_seconds: upper end of all later ones.
        patience_seconds: without a message for so long, the watch gives up.
    """

    first_seconds: float = 0.2
    longest_seconds: float = 10.0
    patience_seconds: float = 600.0
    random: random.Random = field(default_factory=random.Random)
    sleep: Callable[[float], None] = time.sleep

    def delay(self, attempt: int) -> float:
        """Gives the delay before the attempt, 1 being the first, in seconds."""
        # Full jitter (Brooker 2015): many clients of one dead server do not come back as one.
        # The exponent is bounded: a float overflows long before patience does not.
        ceiling = min(self.longest_seconds, self.first_seconds * 2 ** min(attempt - 1, 30))
        return self.random.uniform(0, ceiling)


def follow(
    open_stream: OpenStream,
    decode: Decode,
    orchestration_id: str,
    *,
    after_sequence: int | None,
    backoff: Backoff,
    epoch: str | None = None,
    restart: bool = False,
    on_interruption: OnInterruption | None = None,
) -> Iterator[WatchItem]:
    """Yields a snapshot (without a cursor only), then every event exactly once, in order.

    A dropped stream is taken up again behind the last event seen. A first connection that fails is
    an error at once: then the address is wrong, not the network bad. A store that is full or stopping
    is asked again all the same.

    Args:
        epoch: the one `after_sequence` was read in; None leaves it unchecked.
        restart: where the log cannot be resumed, starts again with a snapshot instead of raising: what
            follows it belongs to that snapshot, and what came before is void.

    Raises:
        WatchGap: the server left out an event.
        EpochChanged, CursorExpired, CursorAhead: the log cannot be resumed.
        CrescendoError: the server refused, or stayed away for longer than the patience.
    """
    cursor = after_sequence
    connected, attempt, last_message = False, 0, time.monotonic()
    while True:
        request = run_pb.WatchOrchestrationRequest(
            orchestration_id=orchestration_id, after_sequence=cursor, epoch=epoch
        )
        stream = open_stream(request)
        try:
            for response in stream:
                epoch = _epoch_of(response, epoch)
                connected, attempt, last_message = True, 0, time.monotonic()
                for item in _items(response, cursor):
                    cursor = item.sequence
                    yield item
            return
        except (grpc.RpcError, EpochChanged) as error:
            decoded = decode(error) if isinstance(error, grpc.RpcError) else error
            if isinstance(decoded, _LOST) and restart:
                cursor, epoch = None, None
            elif (
                not _may_resume(error, decoded, connected=connected, faults=attempt)
                or time.monotonic() - last_message > backoff.patience_seconds
            ):
                raise decoded from error
            attempt += 1
            # A store that says when to come again is believed; the jitter keeps its askers apart.
            delay = (decoded.retry_seconds or 0.0) + backoff.delay(attempt)
            if on_interruption is not None:
                on_interruption(
                    Interruption(
                        error=decoded, attempt=attempt, delay_seconds=delay, after_sequence=cursor
                    )
                )
            backoff.sleep(delay)
        finally:
            stream.cancel()


def _may_resume(error: Exception, decoded: CrescendoError, *, connected: bool, faults: int) -> bool:
    """Whether to ask again behind the last event seen."""
    code = error.code() if isinstance(error, grpc.RpcError) and hasattr(error, "code") else None
    if code not in _DROPPED:
        return False
    if code in _PERHAPS_FAULTS and faults >= _FAULT_ATTEMPTS:
        return False
    return connected or decoded.reason in _COME_AGAIN


def _epoch_of(response: run_pb.WatchOrchestrationResponse, known: str | None) -> str | None:
    """Gives the epoch of a message. Raises: EpochChanged: it is another one."""
    kind = response.WhichOneof("content")
    found = getattr(response, kind).epoch if kind else ""
    if found and known and found != known and kind != "snapshot":
        raise EpochChanged(
            f"the log belongs to epoch {found} now, not {known}: the database was restored and may have"
            " lost events; watch again from a snapshot",
            reason="EPOCH_CHANGED",
            metadata={"epoch": found},
        )
    return found or known


def _items(
    response: run_pb.WatchOrchestrationResponse, cursor: int | None
) -> Iterator[Snapshot | Event]:
    kind = response.WhichOneof("content")
    if kind == "snapshot":
        yield event_decoding.snapshot(response.snapshot)
    elif kind == "events":
        for message in response.events.events:
            if cursor is not None and message.sequence != cursor + 1:
                raise _gap(expected=cursor + 1, got=message.sequence)
            cursor = message.sequence
            yield event_decoding.event(message, response.events.epoch)
    elif kind == "bookmark" and cursor is not None and response.bookmark.sequence > cursor:
        raise _gap(expected=cursor + 1, got=response.bookmark.sequence + 1)


def _gap(*, expected: int, got: int) -> WatchGap:
    return WatchGap(
        f"the next event should be number {expected}, the server sent {got}; please report this,"
        " and watch again from the start",
        reason="WATCH_GAP",
        metadata={"expected": str(expected), "got": str(got)},
    )

"""Points in time, to and from protobuf."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp


def time_to_proto(moment: datetime | None) -> Timestamp | None:
    """Encodes a time with its zone; None stays absent."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def time_from_proto(message: Timestamp) -> datetime | None:
    """Decodes a time in UTC; the empty message is None."""
    if message.seconds == 0 and message.nanos == 0:
        return None
    return message.ToDatetime(tzinfo=UTC)

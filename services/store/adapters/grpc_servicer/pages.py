"""Pages of events, encoded once however many watch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from services.store.ports.results import StoredEvent
from tuning.v1 import run_service_pb2 as pb

_KEPT_BYTES = 16 * 1024 * 1024
# Length-delimited fields, as protobuf's wire format tags them.
_EVENTS_TAG = bytes([pb.EventPage.EVENTS_FIELD_NUMBER << 3 | 2])
_EPOCH_TAG = bytes([pb.EventPage.EPOCH_FIELD_NUMBER << 3 | 2])
_PAGE_TAG = bytes([pb.WatchOrchestrationResponse.EVENTS_FIELD_NUMBER << 3 | 2])


class PageEncoder:
    """Encodes WatchOrchestrationResponse messages from events that are encoded already.

    Args:
        max_bytes: of the pages kept for the next watcher.
    """

    def __init__(self, max_bytes: int = _KEPT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._pages: OrderedDict[tuple[str, str, int, int], bytes] = OrderedDict()
        self._bytes = 0

    def encode(self, orchestration_id: str, epoch: str, events: Sequence[StoredEvent]) -> bytes:
        """Gives the encoded response with these events of one log."""
        key = (epoch, orchestration_id, events[0].sequence, events[-1].sequence)
        if key in self._pages:
            self._pages.move_to_end(key)
            return self._pages[key]
        parts = [_EVENTS_TAG + _varint(len(each.encoded)) + each.encoded for each in events]
        name = epoch.encode()
        body = b"".join([*parts, _EPOCH_TAG, _varint(len(name)), name])
        encoded = _PAGE_TAG + _varint(len(body)) + body
        self._pages[key] = encoded
        self._bytes += len(encoded)
        while self._bytes > self._max_bytes and len(self._pages) > 1:
            self._bytes -= len(self._pages.popitem(last=False)[1])
        return encoded


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)

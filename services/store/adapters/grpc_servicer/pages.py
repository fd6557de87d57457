"""Pages of events, encoded once however many watch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from services.store.ports.results import StoredEvent
from tuning.v1 import run_service_pb2 as pb

_KEPT_PAGES = 256
# Length-delimited fields, as protobuf's wire format tags them.
_EVENTS_TAG = bytes([pb.EventPage.EVENTS_FIELD_NUMBER << 3 | 2])
_PAGE_TAG = bytes([pb.WatchOrchestrationResponse.EVENTS_FIELD_NUMBER << 3 | 2])


class PageEncoder:
    """Encodes WatchOrchestrationResponse messages from events that are encoded already."""

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()

    def encode(self, orchestration_id: str, events: Sequence[StoredEvent]) -> bytes:
        """Gives the encoded response with these events of one log."""
        key = (orchestration_id, events[0].sequence, events[-1].sequence)
        if key in self._pages:
            self._pages.move_to_end(key)
            return self._pages[key]
        body = b"".join(_EVENTS_TAG + _varint(len(each.encoded)) + each.encoded for each in events)
        encoded = _PAGE_TAG + _varint(len(body)) + body
        self._pages[key] = encoded
        if len(self._pages) > _KEPT_PAGES:
            self._pages.popitem(last=False)
        return encoded


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)

"""The client library's public names: `from crescendo.api import Crescendo`."""

from __future__ import annotations

from crescendo.client.errors import (
    AlreadyExists,
    Conflict,
    CrescendoError,
    CursorOutOfRange,
    Exhausted,
    InvalidRequest,
    NotFound,
    Unavailable,
    Violation,
    WatchGap,
    WrongState,
)
from crescendo.client.events import Event, Snapshot
from crescendo.client.library import Crescendo
from crescendo.client.model import Step

__all__ = [
    "AlreadyExists",
    "Conflict",
    "Crescendo",
    "CrescendoError",
    "CursorOutOfRange",
    "Event",
    "Exhausted",
    "InvalidRequest",
    "NotFound",
    "Snapshot",
    "Step",
    "Unavailable",
    "Violation",
    "WatchGap",
    "WrongState",
]

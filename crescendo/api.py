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
from crescendo.client.model import Budget, DatasetRoles, Pruning, Selection, Splitter, Step
from crescendo.client.spaces import Distribution, choice, loguniform, quniform, randint, uniform

__all__ = [
    "AlreadyExists",
    "Budget",
    "Conflict",
    "Crescendo",
    "CrescendoError",
    "CursorOutOfRange",
    "DatasetRoles",
    "Distribution",
    "Event",
    "Exhausted",
    "InvalidRequest",
    "NotFound",
    "Pruning",
    "Selection",
    "Snapshot",
    "Splitter",
    "Step",
    "Unavailable",
    "Violation",
    "WatchGap",
    "WrongState",
    "choice",
    "loguniform",
    "quniform",
    "randint",
    "uniform",
]

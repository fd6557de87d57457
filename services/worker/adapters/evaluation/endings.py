"""Why children are replaced."""

from __future__ import annotations

from enum import Enum


class Ending(Enum):
    """Why a child is replaced."""

    CRASH = "crash"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CANCELLED = "cancelled"
    DIED_IDLE = "died_idle"
    PROTOCOL = "protocol"
    GROWTH = "growth"
    EVALUATIONS = "evaluations"
    LEFTOVERS = "leftovers"

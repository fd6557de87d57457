"""States of orchestrations, their parts and trials."""

from __future__ import annotations

from typing import TypeAlias

# pending, running, paused, completed, failed or cancelled; of trials: queued, running, succeeded, …
State: TypeAlias = str


ENDED: frozenset[State] = frozenset({"completed", "failed", "cancelled"})

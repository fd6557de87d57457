"""How long to wait before trying again."""

from __future__ import annotations

import random


class Backoff:
    """Doubling delays with full jitter, so that a fleet does not knock in step.

    Args:
        first: upper bound of the first delay, in seconds.
        longest: upper bound of all delays, in seconds.
    """

    def __init__(self, *, first: float = 0.1, longest: float = 5.0) -> None:
        self._bound = first
        self._longest = longest

    def next_delay(self) -> float:
        """Gives the next delay: at least half of its bound, so that it is never none at all."""
        bound = self._bound
        self._bound = min(2 * bound, self._longest)
        return random.uniform(bound / 2, bound)  # noqa: S311 (jitter is no secret)

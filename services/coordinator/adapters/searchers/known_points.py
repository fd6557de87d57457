"""Which points a search has tried, kept from call to call."""

from __future__ import annotations

from collections.abc import Sequence

from services.core.digest import assignment_digest
from services.core.trial import Trial


class KnownPoints:
    """Digests of the points of the trials known; those told before are not digested again."""

    def __init__(self) -> None:
        self._digests: set[str] = set()
        self._told = 0

    def taken(self, known: Sequence[Trial]) -> set[str]:
        """Gives the digests of all trials known, in a set that is the caller's to add to."""
        # Trials are only ever added; a shorter list is another search's.
        if len(known) < self._told:
            self._digests.clear()
            self._told = 0
        self._digests.update(assignment_digest(each.parameters) for each in known[self._told :])
        self._told = len(known)
        return set(self._digests)

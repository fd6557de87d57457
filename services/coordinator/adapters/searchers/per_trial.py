"""What is made of each trial, kept from call to call: most trials are the same each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from services.core.trial import Trial

MadeT = TypeVar("MadeT")


class PerTrial(Generic[MadeT]):
    """Makes something of each trial once, for as long as the trial is the same object.

    A trial that changes is another object, so nothing here can be out of date; callers that make all
    their trials anew only lose the time this saves.

    Args:
        make: makes it; None where a trial gives nothing. Must depend on the trial alone.
    """

    def __init__(self, make: Callable[[Trial], MadeT | None]) -> None:
        self._make = make
        self._made: dict[int, tuple[Trial, MadeT | None]] = {}

    def of(self, trials: Sequence[Trial]) -> list[MadeT]:
        """Gives what is made of trials, in their order; what was made of others is forgotten."""
        before, self._made = self._made, {}
        found: list[MadeT] = []
        for trial in trials:
            made = before.get(id(trial))
            # Kept with the trial itself: while it lives no other object has its id.
            if made is None or made[0] is not trial:
                made = (trial, self._make(trial))
            self._made[id(trial)] = made
            if made[1] is not None:
                found.append(made[1])
        return found

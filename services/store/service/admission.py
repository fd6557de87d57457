"""Admission: how many watches a replica carries, told at once instead of by silence."""

from __future__ import annotations

from collections.abc import Callable

from services.core.errors import Exhausted

_RETRY_SECONDS = 5.0


class Admission:
    """Counts watches of one kind.

    Args:
        limit: watches at once.
        changed: is told of every change of their number.
    """

    def __init__(self, limit: int, *, changed: Callable[[int], None] = lambda _: None) -> None:
        self._limit = limit
        self._changed = changed
        self._admitted = 0

    def admit(self, *, after_sequence: int | None) -> Ticket:
        """Lets a watch in; its ticket is released when nothing of it is left.

        Raises: Exhausted: there are as many as are admitted (TOO_MANY_WATCHES).
        """
        if self._admitted >= self._limit:
            metadata = {"limit": str(self._limit)}
            if after_sequence is not None:
                metadata["last_sequence"] = str(after_sequence)
            raise Exhausted(
                f"this store has {self._limit} watches, as many as it admits; wait as long as"
                " RetryInfo says and ask again, or ask another store",
                reason="TOO_MANY_WATCHES",
                metadata=metadata,
                retry_seconds=_RETRY_SECONDS,
            )
        self._admitted += 1
        self._changed(self._admitted)
        return Ticket(self._release)

    def _release(self) -> None:
        self._admitted -= 1
        self._changed(self._admitted)


class Ticket:
    """The place of one watch; giving it back twice gives it back once."""

    def __init__(self, release: Callable[[], None]) -> None:
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Gives the place back."""
        if self._release is not None:
            self._release()
            self._release = None

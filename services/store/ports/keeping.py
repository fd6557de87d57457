"""Finding what becomes due by itself. Every method raises Unavailable when the database is away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class DueReader(Protocol):
    """Lists orchestrations for which something is due; each method gives ids, at most `limit`.

    What is listed may have been seen to by another replica since: it is decided again under the lock.
    """

    async def overdue(self, limit: int) -> Sequence[str]:
        """Those that run and whose time is used up."""
        ...

    async def unaffordable(self, limit: int) -> Sequence[str]:
        """Those that run and may be able to pay for no further attempt."""
        ...

    async def expired_costs(self, limit: int) -> Sequence[str]:
        """Those with attempts whose finish is not waited for any more."""
        ...

    async def without_workers(self, limit: int, *, seconds: float) -> Sequence[str]:
        """Those whose trials have waited so long without a worker of their class, and were not told."""
        ...

    async def with_workers_again(self, limit: int) -> Sequence[str]:
        """Those that were told and have workers of their class again."""
        ...

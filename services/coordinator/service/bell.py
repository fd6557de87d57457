"""A bell: wakes a loop that otherwise looks by itself now and then."""

from __future__ import annotations

import asyncio


class Bell:
    """Rings are merged: any number before a wait wake it once."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wakes the waiter, now or when it next waits."""
        self._rung.set()

    async def wait(self, seconds: float) -> bool:
        """Waits for a ring, at most `seconds`. Returns: whether it rang."""
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True

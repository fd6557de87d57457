"""Waiting for what another task of the same loop does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool]) -> None:
    """Lets other tasks run until a condition holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (of another task)
            await asyncio.sleep(0)

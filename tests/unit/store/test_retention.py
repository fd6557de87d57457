"""When the sweep comes back: every ten minutes, and soon after one that failed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from services.core.errors import Unavailable
from services.store.ports.retention import EndedLog, Forgotten
from services.store.service.retention import Retention, retry_seconds


class _Enough(Exception):
    """As many waits as a test looks at."""


class _MemoryRetention:
    """A store of nothing old, which is away when it is told to be."""

    def __init__(self, outcomes: Iterator[bool]) -> None:
        self._outcomes = outcomes

    async def ended_before(
        self, seconds: float, *, after: EndedLog | None, limit: int
    ) -> Sequence[EndedLog]:
        if not next(self._outcomes):
            raise Unavailable("the database is away", reason="DATABASE_UNAVAILABLE")
        return ()

    async def forget_steps(
        self, orchestration_id: str, *, ended_before_seconds: float, limit: int
    ) -> Forgotten:
        return Forgotten(count=0, more=False)

    forget_costs = forget_events = forget_steps

    async def forget_requests(self, *, older_than_seconds: float, limit: int) -> Forgotten:
        return Forgotten(count=0, more=False)

    async def forget_sessions(self, *, ended_before_seconds: float, limit: int) -> Forgotten:
        return Forgotten(count=0, more=False)


async def _waits(outcomes: list[bool]) -> list[float]:
    """Sweeps with these outcomes. Returns: the waits after each."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == len(outcomes):
            raise _Enough
        await asyncio.sleep(0)

    retention = Retention(_MemoryRetention(iter(outcomes)), days=30, sleep=sleep)
    with pytest.raises(_Enough):
        await retention.run()
    return waits


async def test_a_sweep_that_failed_is_tried_again_soon_and_less_often_the_longer_it_fails() -> None:
    assert await _waits([False, False, False, True, True]) == [1.0, 2.0, 4.0, 600.0, 600.0]


async def test_a_sweep_that_went_well_forgets_earlier_failures() -> None:
    assert await _waits([False, False, True, False]) == [1.0, 2.0, 600.0, 1.0]


@pytest.mark.parametrize("failures", [11, 12, 100_000])
def test_a_retry_is_never_later_than_the_next_sweep(failures: int) -> None:
    assert retry_seconds(failures, longest=600.0) == 600.0

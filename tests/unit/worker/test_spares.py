"""Spare trials: claimed a moment before a slot is free, and no more of them than slots that will be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.core.trial import TrialKey
from services.worker.service.holding import Holding, Work

_NOTHING = "00000000-0000-4000-8000-000000000000"
_WIDE_SECONDS = 60.0


def _work(number: int) -> Work:
    return Work(
        key=TrialKey(orchestration_id=_NOTHING, number=number, attempt=0),
        session_id=_NOTHING,
        tuning_run_id=_NOTHING,
        parameters={},
    )


@asynccontextmanager
async def _busy(mean_seconds: float | None, *, slots: int = 1) -> AsyncIterator[Holding]:
    """All slots run a trial; those before took so long."""
    holding = Holding(slots)
    if mean_seconds is not None:
        holding.stopped(_work(0), to_finish=False, seconds=mean_seconds)
    tasks = [asyncio.create_task(asyncio.Event().wait()) for _ in range(slots)]
    for number, task in enumerate(tasks, start=1):
        holding.started(_work(number), task)
    try:
        yield holding
    finally:
        for task in tasks:
            task.cancel()


async def test_a_trial_is_claimed_before_its_slot_is_free() -> None:
    async with _busy(0.1) as holding:
        assert holding.free_slots() == 0
        assert await holding.reserve(patience_seconds=_WIDE_SECONDS)


async def test_no_more_are_claimed_than_slots_that_are_about_to_be_free() -> None:
    async with _busy(0.1, slots=2) as holding:
        assert await holding.reserve(patience_seconds=_WIDE_SECONDS)
        assert await holding.reserve(patience_seconds=_WIDE_SECONDS)
        assert not await holding.reserve(patience_seconds=0)
        holding.release()
        await holding.add([_work(3)])
        # What was claimed waits for the slot now, in the place of what was reserved.
        assert not await holding.reserve(patience_seconds=0)


async def test_a_slot_that_is_free_again_has_no_spare_left() -> None:
    async with _busy(0.1) as holding:
        assert await holding.reserve(patience_seconds=_WIDE_SECONDS)
        holding.stopped(_work(1), to_finish=False)
        # Its place is the spare's.
        assert not await holding.reserve(patience_seconds=0)


async def test_none_is_claimed_ahead_of_long_trials_or_where_nothing_is_known_of_them() -> None:
    for mean in (3.0, None):
        async with _busy(mean) as holding:
            assert not await holding.reserve(patience_seconds=0)

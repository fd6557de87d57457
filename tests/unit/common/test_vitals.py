"""A critical task that ends, in whichever way, is a failure; a loop is begun anew, not for ever."""

from __future__ import annotations

import asyncio

import pytest

from services.common.vitals import RepeatedFailure, Vitals, kept_running


async def _forever() -> None:
    await asyncio.get_running_loop().create_future()


async def _ends() -> None:
    return


async def _raises() -> None:
    raise ValueError("broken")


async def test_a_task_that_raises_is_a_failure_with_its_error() -> None:
    vitals = Vitals()
    vitals.start("heart", _raises())
    failure = await asyncio.wait_for(vitals.wait_failed(), 60)
    assert (failure.name, type(failure.error)) == ("heart", ValueError)


async def test_a_task_that_just_ends_is_a_failure_too() -> None:
    vitals = Vitals()
    vitals.start("heart", _ends())
    assert (await asyncio.wait_for(vitals.wait_failed(), 60)).error is None


async def test_a_task_that_somebody_else_cancels_is_a_failure_too() -> None:
    vitals = Vitals()
    heart: list[asyncio.Task[None]] = []

    async def beating() -> None:
        current = asyncio.current_task()
        assert current is not None
        heart.append(current)
        await _forever()

    vitals.start("heart", beating())
    await asyncio.sleep(0)
    heart[0].cancel()
    assert (await asyncio.wait_for(vitals.wait_failed(), 60)).name == "heart"


async def test_stopping_is_no_failure_and_may_be_repeated() -> None:
    vitals = Vitals()
    heart = vitals.start("heart", _forever())
    await asyncio.sleep(0)
    await heart.stop()
    await heart.stop()
    assert vitals.failure is None


async def test_a_task_that_swallows_a_cancellation_is_stopped_all_the_same() -> None:
    swallowed: list[int] = []

    async def stubborn() -> None:
        try:
            await _forever()
        except asyncio.CancelledError:
            swallowed.append(1)
        await _forever()

    vitals = Vitals()
    task = vitals.start("stubborn", stubborn())
    await asyncio.sleep(0)
    await asyncio.wait_for(task.stop(again_seconds=0.05), 60)
    assert (swallowed, vitals.failure) == ([1], None)


async def test_the_first_failure_counts() -> None:
    vitals = Vitals()
    vitals.start("first", _raises())
    vitals.start("second", _ends())
    for _ in range(3):
        await asyncio.sleep(0)
    assert (await vitals.wait_failed()).name == "first"


async def test_a_loop_is_begun_anew_after_an_error_an_end_and_a_stray_cancellation() -> None:
    rounds: list[str] = []
    ways = {0: "error", 1: "end", 2: "cancellation"}
    lasting = asyncio.Event()

    async def loop() -> None:
        way = ways.get(len(rounds), "lasts")
        rounds.append(way)
        if way == "error":
            raise ValueError("broken")
        if way == "cancellation":
            raise asyncio.CancelledError
        if way == "lasts":
            lasting.set()
            await _forever()

    vitals = Vitals()
    task = vitals.keep("loop", loop, restart_seconds=0)
    await asyncio.wait_for(lasting.wait(), 60)
    await task.stop()
    assert rounds == ["error", "end", "cancellation", "lasts"]
    assert vitals.failure is None


async def test_a_loop_that_keeps_failing_ends_with_its_last_error_as_the_cause() -> None:
    began: list[int] = []

    async def loop() -> None:
        began.append(1)
        raise ValueError("broken")

    with pytest.raises(RepeatedFailure, match="loop ended 4 times within 60 s") as caught:
        await kept_running("loop", loop, restart_seconds=0, max_failures=4, within_seconds=60)
    assert len(began) == 4
    assert isinstance(caught.value.__cause__, ValueError)


async def test_failures_far_apart_do_not_add_up() -> None:
    began: list[int] = []
    enough = asyncio.Event()

    async def loop() -> None:
        began.append(1)
        if len(began) == 8:
            enough.set()
            await _forever()
        raise ValueError("broken")

    task = asyncio.create_task(
        kept_running("loop", loop, restart_seconds=0.02, max_failures=3, within_seconds=0.01)
    )
    await asyncio.wait_for(enough.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

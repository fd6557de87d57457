"""Calls to the broker: every way they fail is one error, and only one's own cancellation is a cancellation."""

from __future__ import annotations

import asyncio

import pytest

from services.common.messaging.connection import broker_call
from services.core.errors import Unavailable


async def _cancelled_by_the_library() -> None:
    # What the driver does to everything that waits on a connection it gives up.
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(waiting.cancel)
    async with broker_call("waiting"):
        await waiting


async def test_a_cancellation_nobody_asked_for_is_an_outage() -> None:
    with pytest.raises(Unavailable, match="waiting"):
        await _cancelled_by_the_library()


async def test_a_task_that_is_cancelled_ends_cancelled() -> None:
    entered = asyncio.Event()

    async def wait() -> None:
        async with broker_call("waiting"):
            entered.set()
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(wait())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_from_before_the_call_is_not_lost_in_it() -> None:
    async def call() -> None:
        task = asyncio.current_task()
        if task is not None:
            task.cancel()
        async with broker_call("waiting"):
            await asyncio.get_running_loop().create_future()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(call())


async def test_a_silent_broker_is_an_outage_after_the_limit() -> None:
    with pytest.raises(Unavailable):
        async with broker_call("waiting", seconds=0.01):
            await asyncio.get_running_loop().create_future()


async def test_a_closed_connection_is_an_outage() -> None:
    with pytest.raises(Unavailable, match="reset by peer"):
        async with broker_call("waiting"):
            raise ConnectionResetError("reset by peer")

"""A peer that freezes is found within half a minute, by either side, whether anything is going on or not.

On a busy machine everybody may take longer; without pings it would be the quarter of an hour that TCP takes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest

from crescendo.client.transport import connect
from services.common.rpc.client import open_channel
from tests.contract.rpc.calls import SERVICE, begin, finish, serving
from tests.support.black_holes import BlackHole, black_hole

LIMIT_SECONDS = 90.0


class _Clock:
    """Seconds since the link went dark, by who noticed."""

    def __init__(self) -> None:
        self.noticed: dict[str, float] = {}
        self._began = 0.0

    def begin(self) -> None:
        self._began = time.monotonic()

    def notice(self, name: str) -> None:
        self.noticed.setdefault(name, time.monotonic() - self._began)


@pytest.mark.slow
async def test_a_frozen_link_is_noticed_by_both_sides_in_every_situation() -> None:
    clock = _Clock()
    begun: set[str] = set()

    async def answer(request: bytes, context: Any) -> bytes:
        begun.add(request.decode())
        try:
            while True:
                if request == b"flooded":
                    await context.write(b"x" * 20_000)
                await asyncio.sleep(0.02)
        finally:
            clock.notice(f"server: {request.decode()}")

    async def floods() -> AsyncIterator[bytes]:
        yield b"flooding"
        while True:
            await asyncio.sleep(0.02)
            yield b"x" * 20_000

    async with serving(answer) as (calls, _), black_hole(calls.address) as hole:
        flooding: Any = open_channel(hole.address)
        situations = [
            _waits(begin(open_channel(hole.address), "unary", b"unary", timeout=None), clock),
            _reads(hole, "silent", clock),
            _reads(hole, "flooded", clock),
            _listens(flooding.stream_stream(f"/{SERVICE}/chat")(floods()), "flooding", clock),
            _idles(hole, clock, begun),
            asyncio.to_thread(_reads_with_the_library, hole.address, clock),
        ]
        tasks = [asyncio.create_task(each) for each in situations]
        # From now on nothing arrives.
        await _until(lambda: len(begun) == hole.connections == len(situations))
        clock.begin()
        hole.swallow()
        expected = len(situations) + 5
        async with asyncio.timeout(LIMIT_SECONDS + 10):
            await _until(lambda: len(clock.noticed) >= expected)
            await asyncio.gather(*tasks)
    assert len(clock.noticed) == expected
    late = {name: taken for name, taken in clock.noticed.items() if taken > LIMIT_SECONDS}
    assert not late


async def _until(condition: Callable[[], bool]) -> None:
    while True:
        if condition():
            return
        await asyncio.sleep(0.02)


async def _waits(call: Any, clock: _Clock) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await call
    clock.notice("client: unary")


async def _reads(hole: BlackHole, name: str, clock: _Clock) -> None:
    await _listens(
        begin(open_channel(hole.address), "download", name.encode(), timeout=None), name, clock
    )


async def _listens(call: Any, name: str, clock: _Clock) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        async for _ in call:
            pass
    clock.notice(f"client: {name}")


async def _idles(hole: BlackHole, clock: _Clock, begun: set[str]) -> None:
    channel = open_channel(hole.address)
    channel.get_state(try_to_connect=True)
    await channel.channel_ready()
    begun.add("idle")
    await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
    clock.notice("client: idle")
    await channel.close(None)


def _reads_with_the_library(address: str, clock: _Clock) -> None:
    channel: Any = connect("store", address).channel
    with pytest.raises(grpc.RpcError):
        list(channel.unary_stream(f"/{SERVICE}/download")(b"library"))
    clock.notice("client: library")
    channel.close()


async def test_a_client_that_pings_too_often_keeps_its_calls() -> None:
    async def answer(_request: bytes, _context: Any) -> bytes:
        # Ten pings: a server that minds them breaks the connection after three.
        await asyncio.sleep(2)
        return b"done"

    async with serving(answer) as (calls, _):
        eager = grpc.aio.insecure_channel(
            calls.address,
            options=[
                ("grpc.keepalive_time_ms", 200),
                ("grpc.keepalive_timeout_ms", 60_000),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.max_pings_without_data", 0),
                ("grpc.http2.min_ping_interval_without_data_ms", 100),
            ],
        )
        async with eager:
            assert await finish(begin(eager, "unary", timeout=60), "unary") == [b"done"]

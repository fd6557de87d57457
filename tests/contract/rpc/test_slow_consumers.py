"""A client that does not read its stream costs the server one message, and hears why it was cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common.rpc.server import RpcServer, service_name
from services.common.rpc.status import from_rpc_error
from services.core.errors import Exhausted
from tuning.v1 import run_service_pb2 as pb

_SECONDS = 0.3
# Where nobody is to be given up: far more than a busy machine holds up a reader.
_WIDE_SECONDS = 4.0
_MESSAGE = pb.WatchOrchestrationResponse(
    events=pb.EventPage(epoch="x" * 200_000),
)
# Without these a client takes in megabytes before its window is full.
_SMALL_WINDOW = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536)]


class _Endless:
    """Sends for as long as somebody reads; remembers what ended each stream."""

    def __init__(self) -> None:
        self.sent = 0
        self.ends: asyncio.Queue[BaseException] = asyncio.Queue()

    async def yielding(self, _request: Any, _context: Any) -> AsyncIterator[Any]:
        try:
            while True:
                yield _MESSAGE
                self.sent += 1
        except BaseException as error:
            if isinstance(error, Exhausted):
                error.metadata["sent"] = str(self.sent)
            self.ends.put_nowait(error)
            raise

    async def writing(self, _request: Any, context: Any) -> None:
        try:
            while True:
                await context.write(_MESSAGE)
                self.sent += 1
        except BaseException as error:
            self.ends.put_nowait(error)
            raise


@asynccontextmanager
async def _serving(handler: Callable[..., Any], *, seconds: float = _SECONDS) -> AsyncIterator[str]:
    name = service_name(pb.DESCRIPTOR, "RunService")

    def register(server: grpc.aio.Server) -> None:
        method = grpc.unary_stream_rpc_method_handler(
            handler,
            request_deserializer=pb.WatchOrchestrationRequest.FromString,
            response_serializer=pb.WatchOrchestrationResponse.SerializeToString,
        )
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(name, {"WatchOrchestration": method}),)
        )

    server = RpcServer(
        listen="127.0.0.1:0", services=[(name, register)], stream_write_seconds=seconds
    )
    address = await server.start()
    try:
        yield address
    finally:
        await server.stop(0)


def _open(channel: grpc.aio.Channel) -> Any:
    watch: Any = channel.unary_stream(
        f"/{service_name(pb.DESCRIPTOR, 'RunService')}/WatchOrchestration",
        request_serializer=pb.WatchOrchestrationRequest.SerializeToString,
        response_deserializer=pb.WatchOrchestrationResponse.FromString,
    )
    return watch(pb.WatchOrchestrationRequest(), timeout=60)


async def _within(awaitable: Awaitable[Any], seconds: float = 60) -> Any:
    async with asyncio.timeout(seconds):
        return await awaitable


@pytest.mark.parametrize("style", ["yielding", "writing"])
async def test_a_stream_nobody_reads_ends_and_says_why(style: str) -> None:
    endless = _Endless()
    async with (
        _serving(getattr(endless, style)) as address,
        grpc.aio.insecure_channel(address, options=_SMALL_WINDOW) as channel,
    ):
        call = _open(channel)
        ended = await _within(endless.ends.get())
        assert isinstance(ended, Exhausted)
        sent = endless.sent
        received = 0
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            while await _within(call.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]  # missing in the stubs
                received += 1
        # What was under way still arrives, and then the reason.
        assert received == sent + 1
        error = from_rpc_error(caught.value)
        assert (type(error), error.reason) == (Exhausted, "SLOW_CONSUMER")
        assert "0.3 s" in error.message
        if style == "yielding":
            assert error.metadata["sent"] == str(sent)


async def test_a_slow_reader_that_reads_in_time_is_left_alone() -> None:
    endless = _Endless()
    async with (
        _serving(endless.yielding, seconds=_WIDE_SECONDS) as address,
        grpc.aio.insecure_channel(address, options=_SMALL_WINDOW) as channel,
    ):
        call = _open(channel)
        for _ in range(8):
            # Each read makes room within the limit, all of them together take longer.
            await asyncio.sleep(0.15 * _WIDE_SECONDS)
            assert await _within(call.read()) == _MESSAGE
        assert endless.ends.empty()
        call.cancel()
        assert not isinstance(await _within(endless.ends.get()), Exhausted)


async def test_a_stuck_stream_leaves_others_of_its_connection_alone() -> None:
    endless = _Endless()
    async with (
        _serving(endless.yielding, seconds=_WIDE_SECONDS) as address,
        grpc.aio.insecure_channel(address, options=_SMALL_WINDOW) as channel,
    ):
        stuck = _open(channel)
        await _within(stuck.read())
        lively = _open(channel)
        for _ in range(50):
            assert await _within(lively.read()) == _MESSAGE
        health: Any = health_pb2_grpc.HealthStub(channel)
        await health.Check(health_pb2.HealthCheckRequest(), timeout=60)
        lively.cancel()


async def test_health_can_be_watched() -> None:
    endless = _Endless()
    async with _serving(endless.yielding) as address, grpc.aio.insecure_channel(address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=60)
        answer = await _within(watch.read())
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()

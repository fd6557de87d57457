"""Around every call, of all four kinds: errors without internals, deadlines, what is observed."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common.rpc.client import open_channel
from services.common.rpc.server import RpcServer, service_name
from services.common.rpc.status import from_rpc_error
from services.core.errors import FieldViolation, InvalidRequest, NotFound, WrongState
from tests.contract.rpc.calls import KINDS, SERVICE, begin, error_of, finish, header, serving
from tuning.v1 import run_service_pb2

SECRET = "postgresql://me:hunter2@db/x"


async def _echo(request: bytes, _context: Any) -> bytes:
    return request


# --- Errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_an_unexpected_error_shows_an_id_and_no_internals(kind: str) -> None:
    async def answer(_request: bytes, _context: Any) -> bytes:
        raise RuntimeError(SECRET)

    async with serving(answer) as (calls, channel):
        error = await error_of(channel, kind)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "the server's log has the details" in (error.details() or "")
    assert "hunter2" not in repr(error)
    assert await calls.outcome() == (kind, "INTERNAL")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_known_error_arrives_whole(kind: str) -> None:
    async def answer(_request: bytes, _context: Any) -> bytes:
        raise NotFound("there is no x", metadata={"id": "x"})

    async with serving(answer) as (calls, channel):
        error = from_rpc_error(await error_of(channel, kind))
    assert (type(error), error.metadata) == (NotFound, {"id": "x"})
    assert await calls.outcome() == (kind, "NOT_FOUND")


@pytest.mark.parametrize(
    "error",
    [
        WrongState(f"cannot reach {SECRET}", metadata={"address": SECRET}),
        InvalidRequest([FieldViolation(field="dsn", description=f"{SECRET} is wrong")]),
    ],
    ids=lambda each: type(each).__name__,
)
async def test_a_known_error_that_quotes_a_password_does_not_tell_it(error: Exception) -> None:
    async def answer(_request: bytes, _context: Any) -> bytes:
        raise error

    async with serving(answer) as (_, channel):
        told = await error_of(channel, "unary")
    assert "me:***@db" in (told.details() or "")
    assert "hunter2" not in repr(told)
    assert "hunter2" not in repr(told.trailing_metadata())


@pytest.mark.parametrize("kind", KINDS)
async def test_a_handler_that_aborts_by_itself_is_left_alone(kind: str) -> None:
    async def answer(_request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.DATA_LOSS, "in its own words")
        raise AssertionError("abort raises")

    async with serving(answer) as (calls, channel):
        error = await error_of(channel, kind)
    assert (error.code(), error.details()) == (grpc.StatusCode.DATA_LOSS, "in its own words")
    assert header(error.trailing_metadata())
    assert await calls.outcome() == (kind, "DATA_LOSS")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancelled_call_cancels_its_handler(kind: str) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def answer(_request: bytes, _context: Any) -> bytes:
        began.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            ended.set()
            raise
        raise AssertionError("waits for ever")

    async with serving(answer) as (calls, channel):
        call = begin(channel, kind)
        reading = asyncio.create_task(finish(call, kind))
        await asyncio.wait_for(began.wait(), 60)
        call.cancel()
        await asyncio.wait_for(ended.wait(), 60)
        await asyncio.wait({reading})
    assert await calls.outcome() == (kind, "CANCELLED")


@pytest.mark.parametrize("kind", ["upload", "chat"])
async def test_a_client_that_breaks_off_its_requests_leaves_the_server_serving(kind: str) -> None:
    async def failing() -> Any:
        yield b"one"
        raise RuntimeError("the client's own trouble")

    async with serving(_echo) as (_, channel):
        path = f"/{SERVICE}/{kind}"
        open_call: Any = channel.stream_unary if kind == "upload" else channel.stream_stream
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError, RuntimeError)):
            await finish(open_call(path)(failing(), timeout=60), kind)
        assert await finish(begin(channel, "unary"), "unary") == [b"x"]


async def test_text_that_utf8_cannot_hold_does_not_hide_the_error() -> None:
    async def answer(_request: bytes, _context: Any) -> bytes:
        raise WrongState("file \udc80 is open", metadata={"name": "\udc80"})

    async with serving(answer) as (_, channel):
        error = from_rpc_error(await error_of(channel, "unary"))
    assert (type(error), error.message) == (WrongState, "file ? is open")


@pytest.mark.parametrize("method", ["GetOrchestration", "WatchOrchestration"])
@pytest.mark.parametrize(
    "body", [b"\x0a\x03\xff\xfe\xfd", b"\x0a\xff", b"garbage" * 9], ids=["utf-8", "cut", "garbage"]
)
async def test_bytes_that_are_no_message_are_refused_in_words(method: str, body: bytes) -> None:
    class Runs:
        async def GetOrchestration(self, request: Any, context: Any) -> Any:
            raise AssertionError("not reached")

        async def WatchOrchestration(self, request: Any, context: Any) -> Any:
            if request is not None:
                raise AssertionError("not reached")
            yield

    name = service_name(run_service_pb2.DESCRIPTOR, "RunService")
    runs = Runs()

    def register(to: grpc.aio.Server) -> None:
        unary = grpc.unary_unary_rpc_method_handler(
            runs.GetOrchestration, run_service_pb2.GetOrchestrationRequest.FromString
        )
        stream = grpc.unary_stream_rpc_method_handler(
            runs.WatchOrchestration, run_service_pb2.WatchOrchestrationRequest.FromString
        )
        methods = {"GetOrchestration": unary, "WatchOrchestration": stream}
        to.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))

    server = RpcServer(listen="127.0.0.1:0", services=[(name, register)])
    address = await server.start()
    try:
        async with open_channel(address) as opened:
            channel: Any = opened
            call = channel.unary_stream(f"/{name}/{method}")
            if method == "GetOrchestration":
                call = channel.unary_unary(f"/{name}/{method}")
            kind = "unary" if method == "GetOrchestration" else "download"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await finish(call(body, timeout=60), kind)
    finally:
        await server.stop(0)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert isinstance(from_rpc_error(caught.value), InvalidRequest)
    assert "no message of this method's type" in (caught.value.details() or "")


async def test_health_can_be_watched() -> None:
    server = RpcServer(listen="127.0.0.1:0", services=[])
    address = await server.start()
    try:
        async with open_channel(address) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=60)
            first = await watch.read()
            await server.set_serving(serving=True)
            second = await watch.read()
            watch.cancel()
    finally:
        await server.stop(0)
    serving_status = health_pb2.HealthCheckResponse
    assert (first.status, second.status) == (serving_status.NOT_SERVING, serving_status.SERVING)


# --- Deadlines --------------------------------------------------------------------------------------


async def _never(_request: bytes, _context: Any) -> bytes:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("waits for ever")


class _Slow:
    """A handler that answers only once another call, begun later, has run into the server's deadline."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()
        self._released = asyncio.Event()

    async def answer(self, _request: bytes, _context: Any) -> bytes:
        self._begun.set()
        await self._released.wait()
        return b"done"

    async def outlast_the_deadline(self, channel: Any) -> None:
        await self._begun.wait()
        error = await error_of(channel, "unary", timeout=None)
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        self._released.set()


async def test_a_unary_call_without_a_deadline_gets_one() -> None:
    async with serving(_never, deadline_seconds=0.05) as (calls, channel):
        error = await error_of(channel, "unary", timeout=None)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "not done within the 0.05 s" in (error.details() or "")
    assert await calls.outcome() == ("unary", "DEADLINE_EXCEEDED")


async def test_a_clients_own_deadline_counts_longer_or_shorter() -> None:
    slow = _Slow()
    async with serving(slow.answer, deadline_seconds=0.02) as (_, channel):
        patient = asyncio.ensure_future(finish(begin(channel, "unary", timeout=60), "unary"))
        await slow.outlast_the_deadline(channel)
        assert await patient == [b"done"]
    begun, ended = asyncio.Event(), asyncio.Event()

    async def watched(request: bytes, context: Any) -> bytes:
        begun.set()
        try:
            return await _never(request, context)
        finally:
            ended.set()

    async with serving(watched, deadline_seconds=60) as (_, channel):
        seconds = 0.5
        while not begun.is_set():
            # The call must reach its handler before it is over: on a busy machine, a longer one does.
            error = await error_of(channel, "unary", timeout=seconds)
            seconds *= 2
        await asyncio.wait_for(ended.wait(), 60)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_streams_have_no_deadline_of_ours() -> None:
    for kind in ("download", "upload", "chat"):
        slow = _Slow()
        async with serving(slow.answer, deadline_seconds=0.01) as (_, channel):
            stream = asyncio.ensure_future(finish(begin(channel, kind, timeout=None), kind))
            await slow.outlast_the_deadline(channel)
            assert (await stream)[-1] == b"done"


async def test_a_timeout_inside_a_handler_is_not_mistaken_for_the_deadline() -> None:
    async def answer(_request: bytes, _context: Any) -> bytes:
        raise TimeoutError(SECRET)

    async with serving(answer) as (_, channel):
        error = await error_of(channel, "unary", timeout=None)
    assert error.code() is grpc.StatusCode.INTERNAL


# --- Observing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_every_call_is_observed_with_its_code_and_time(kind: str) -> None:
    inside = 0.0

    async def answer(_request: bytes, _context: Any) -> bytes:
        nonlocal inside
        began = time.perf_counter()
        await asyncio.sleep(0)
        inside = time.perf_counter() - began
        return b""

    before = time.perf_counter()
    async with serving(answer) as (calls, channel):
        await finish(begin(channel, kind), kind)
    assert await calls.outcome() == (kind, "OK")
    ((_, _, seconds),) = calls.observed
    assert 0 < inside <= seconds <= time.perf_counter() - before

"""Every kind of error a server raises arrives at its client as the same kind, with all its details."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common.rpc.client import open_channel
from services.common.rpc.server import RpcServer, service_name
from services.common.rpc.status import from_rpc_error
from services.core.errors import (
    AlreadyExists,
    Conflict,
    CrescendoError,
    CursorOutOfRange,
    Exhausted,
    FieldViolation,
    InvalidRequest,
    NotFound,
    Unavailable,
    WrongState,
)
from tuning.v1 import model_service_pb2, run_service_pb2, run_service_pb2_grpc


class _Raising:
    """Raises what it is told to, from a unary and from a streaming method."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def unary(self, _request: Any, _context: Any) -> Any:
        raise self._error

    async def stream(self, _request: Any, _context: Any) -> AsyncIterator[Any]:
        yield run_service_pb2.WatchOrchestrationResponse()
        raise self._error


@asynccontextmanager
async def _serving(servicer: _Raising) -> AsyncIterator[grpc.aio.Channel]:
    name = service_name(run_service_pb2.DESCRIPTOR, "RunService")

    def register(server: grpc.aio.Server) -> None:
        unary = grpc.unary_unary_rpc_method_handler(
            servicer.unary,
            request_deserializer=run_service_pb2.GetOrchestrationRequest.FromString,
            response_serializer=run_service_pb2.GetOrchestrationResponse.SerializeToString,
        )
        stream = grpc.unary_stream_rpc_method_handler(
            servicer.stream,
            request_deserializer=run_service_pb2.WatchOrchestrationRequest.FromString,
            response_serializer=run_service_pb2.WatchOrchestrationResponse.SerializeToString,
        )
        methods = {"GetOrchestration": unary, "WatchOrchestration": stream}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))

    server = RpcServer(listen="127.0.0.1:0", services=[(name, register)])
    address = await server.start()
    try:
        async with open_channel(address) as channel:
            yield channel
    finally:
        await server.stop(0)


async def _fails_unary(channel: grpc.aio.Channel) -> grpc.aio.AioRpcError:
    stub: Any = run_service_pb2_grpc.RunServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetOrchestration(run_service_pb2.GetOrchestrationRequest(), timeout=60)
    return caught.value


KNOWN = [
    NotFound("orchestration 'x' does not exist", metadata={"id": "x"}),
    AlreadyExists("taken"),
    WrongState("it is COMPLETED", reason="ALREADY_ENDED"),
    Conflict("changed meanwhile"),
    CursorOutOfRange("the log ends at 5", metadata={"last_sequence": "5"}),
    Exhausted("too many", retry_seconds=2.5),
    Unavailable("draining", reason="DRAINING"),
]


@pytest.mark.parametrize("error", KNOWN, ids=lambda each: type(each).__name__)
async def test_a_known_error_arrives_as_the_same_kind(error: CrescendoError) -> None:
    async with _serving(_Raising(error)) as channel:
        received = from_rpc_error(await _fails_unary(channel))
    assert type(received) is type(error)
    assert (received.message, received.reason, received.metadata) == (
        error.message,
        error.reason,
        error.metadata,
    )


async def test_a_known_error_ends_a_stream_the_same_way() -> None:
    async with _serving(_Raising(Unavailable("draining", reason="DRAINING"))) as channel:
        stub: Any = run_service_pb2_grpc.RunServiceStub(channel)
        call = stub.WatchOrchestration(run_service_pb2.WatchOrchestrationRequest(), timeout=60)
        await call.read()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert from_rpc_error(caught.value).reason == "DRAINING"


async def test_every_violation_arrives() -> None:
    violations = [
        FieldViolation(field=f"param_grid[{number}]", description="is wrong")
        for number in range(30)
    ]
    async with _serving(_Raising(InvalidRequest(violations))) as channel:
        received = from_rpc_error(await _fails_unary(channel))
    assert isinstance(received, InvalidRequest)
    assert list(received.violations) == violations


async def test_a_thousand_violations_are_cut_and_counted_rather_than_lost() -> None:
    violations = [
        FieldViolation(field=f"param_grid[{number}]", description="x" * 900)
        for number in range(1000)
    ]
    async with _serving(_Raising(InvalidRequest(violations))) as channel:
        error = await _fails_unary(channel)
    received = from_rpc_error(error)
    assert isinstance(received, InvalidRequest)
    assert received.violations[0].field == "param_grid[0]"
    assert "more violations" in received.violations[-1].description


@pytest.mark.parametrize("letter", ["😀", "語", "%", "\0", "ß"])
async def test_violations_in_any_script_arrive_whole_or_cut(letter: str) -> None:
    violations = [
        FieldViolation(field=f'param_grid["{letter * 500}{number}"]', description=letter * 900)
        for number in range(1000)
    ]
    async with _serving(_Raising(InvalidRequest(violations))) as channel:
        error = await _fails_unary(channel)
    received = from_rpc_error(error)
    assert isinstance(received, InvalidRequest)
    assert received.violations[0].field.startswith(f'param_grid["{letter}{letter}')
    assert (error.details() or "").startswith(f'param_grid["{letter}{letter}')
    assert "more violations" in received.violations[-1].description


async def test_an_unexpected_error_shows_an_id_and_no_internals() -> None:
    async with _serving(_Raising(RuntimeError("postgresql://me:secret@db/x"))) as channel:
        error = await _fails_unary(channel)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in (error.details() or "")
    assert "internal error" in (error.details() or "")
    assert from_rpc_error(error).message == error.details()


async def test_health_says_whether_the_server_can_work() -> None:
    server = RpcServer(listen="127.0.0.1:0", services=[])
    address = await server.start()
    try:
        async with open_channel(address) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            request = health_pb2.HealthCheckRequest()
            before = await stub.Check(request, timeout=60)
            await server.set_serving(serving=True)
            after = await stub.Check(request, timeout=60)
    finally:
        await server.stop(0)
    assert before.status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert after.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_port_in_use_is_an_error_that_names_it() -> None:
    first = RpcServer(listen="127.0.0.1:0", services=[])
    address = await first.start()
    second = RpcServer(listen=address, services=[])
    try:
        with pytest.raises(OSError, match=address):
            await second.start()
    finally:
        await first.stop(0)


async def test_a_server_that_is_away_is_unavailable() -> None:
    async with open_channel("127.0.0.1:1") as channel:
        call: Any = channel.unary_unary(
            "/tuning.v1.ModelService/GetModelRun",
            request_serializer=model_service_pb2.GetModelRunRequest.SerializeToString,
            response_deserializer=model_service_pb2.GetModelRunResponse.FromString,
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(model_service_pb2.GetModelRunRequest(), timeout=60)
    assert "127.0.0.1" in (caught.value.details() or "")
    with structlog.testing.capture_logs() as lines:
        error = from_rpc_error(caught.value, peer="the store")
    assert isinstance(error, Unavailable)
    # Whoever reads it may be a client of the coordinator: where its store is, only the log says.
    assert error.message == "the store cannot be reached now; retry"
    assert [line["error"] for line in lines] == [caught.value.details()]


@pytest.mark.parametrize("code", [each for each in grpc.StatusCode if each.value[0] != 0])
async def test_a_status_that_no_service_of_ours_made_is_told_in_words_of_ours(
    code: grpc.StatusCode,
) -> None:
    class Stranger(_Raising):
        async def unary(self, _request: Any, context: Any) -> Any:
            await context.abort(code, "ipv4:10.1.2.3:50053: upstream is gone")

    async with _serving(Stranger(RuntimeError())) as channel:
        error = from_rpc_error(await _fails_unary(channel), peer="the store")
    assert "10.1.2.3" not in str(error)
    assert "the store" in str(error)

"""A server with one method of each kind, each doing what it is told to, and calls to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc
import pytest

from services.common import request_ids
from services.common.rpc.client import open_channel
from services.common.rpc.interceptors import CallInterceptor
from services.common.rpc.server import RpcServer

SERVICE = "tests.Calls"
KINDS = ("unary", "download", "upload", "chat")

Answer: TypeAlias = Callable[[bytes, grpc.aio.ServicerContext[Any, Any]], Awaitable[bytes]]


@dataclass(slots=True, kw_only=True)
class Calls:
    """Unary and upload answer once by `answer`; download and chat echo one item first, then do the same."""

    answer: Answer
    observed: list[tuple[str, str, float]] = field(default_factory=list)
    address: str = ""

    async def unary(self, request: bytes, context: Any) -> bytes:
        return await self.answer(request, context)

    async def download(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        yield await self.answer(request, context)

    async def upload(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        last = b""
        async for request in requests:
            last = request
        return await self.answer(last, context)

    async def chat(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield b"first"
            yield await self.answer(request, context)

    async def outcome(self) -> tuple[str, str]:
        """The method and code of the first call that ended; the client may hear of the end earlier."""
        async with asyncio.timeout(60):
            while True:
                if self.observed:
                    return self.observed[0][:2]
                await asyncio.sleep(0.001)

    def register(self, server: grpc.aio.Server) -> None:
        handlers = {
            "unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "download": grpc.unary_stream_rpc_method_handler(self.download),
            "upload": grpc.stream_unary_rpc_method_handler(self.upload),
            "chat": grpc.stream_stream_rpc_method_handler(self.chat),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


@asynccontextmanager
async def serving(answer: Answer, **options: Any) -> AsyncIterator[tuple[Calls, grpc.aio.Channel]]:
    """Serves; options are those of CallInterceptor."""
    calls = Calls(answer=answer)

    def observe(method: str, code: str, seconds: float) -> None:
        calls.observed.append((method.rsplit("/", 1)[1], code, seconds))

    server = RpcServer(
        listen="127.0.0.1:0",
        services=[(SERVICE, calls.register)],
        calls=CallInterceptor(observe=observe, **options),
    )
    calls.address = await server.start()
    try:
        async with open_channel(calls.address) as channel:
            yield calls, channel
    finally:
        await server.stop(0)


def begin(channel: Any, kind: str, request: bytes = b"x", **options: Any) -> Any:
    """Begins a call of one of KINDS."""
    path = f"/{SERVICE}/{kind}"

    async def requests() -> AsyncIterator[bytes]:
        yield request

    options = {"timeout": 60} | options
    match kind:
        case "unary":
            return channel.unary_unary(path)(request, **options)
        case "download":
            return channel.unary_stream(path)(request, **options)
        case "upload":
            return channel.stream_unary(path)(requests(), **options)
        case _:
            return channel.stream_stream(path)(requests(), **options)


async def finish(call: Any, kind: str) -> list[bytes]:
    """Reads all answers of a call."""
    if kind in ("unary", "upload"):
        return [await call]
    return [each async for each in call]


async def error_of(channel: grpc.aio.Channel, kind: str, **options: Any) -> grpc.aio.AioRpcError:
    """Gives the error that a call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await finish(begin(channel, kind, **options), kind)
    return caught.value


def header(metadata: Any) -> str | None:
    """Gives the request id that came back in a call's metadata."""
    return dict(metadata or ()).get(request_ids.HEADER)

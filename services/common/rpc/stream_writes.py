"""Server streams: no write waits for ever for a client that does not read.

A client that stops reading fills its HTTP/2 window; from then on a write waits. When it has waited too
long the stream ends with RESOURCE_EXHAUSTED (SLOW_CONSUMER). Until the client reads on or goes away
the transport keeps the one message that waits and the status behind it, nothing more.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
from grpc.aio import InternalError, ServerInterceptor
from prometheus_client import Counter

from services.core.errors import Exhausted

STREAM_WRITE_SECONDS = 30.0

SLOW_CONSUMERS = Counter(
    "crescendo_rpc_slow_consumers", "Streams ended because their client did not read.", ["rpc"]
)


class StreamWriteInterceptor(ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Bounds every write of every stream; stands innermost, so that others see its errors.

    Args:
        seconds: how long one message may wait to be sent.
    """

    def __init__(self, seconds: float = STREAM_WRITE_SECONDS) -> None:
        self._seconds = seconds

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wraps handlers of streams; all others are left as they are."""
        handler: Any = await continuation(handler_call_details)
        if handler is None or not handler.response_streaming:
            return handler
        inner = handler.stream_stream if handler.request_streaming else handler.unary_stream
        make = (
            grpc.stream_stream_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_stream_rpc_method_handler
        )
        method, seconds = handler_call_details.method, self._seconds

        async def call(request: Any, context: Any) -> None:
            await _write_all(inner, request, _BoundedContext(method, context, seconds))

        return make(
            call,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


class _BoundedContext:
    """A call's context whose writes do not wait for ever; all else is the context's own.

    Made in the call's task, which alone writes: loop and task are asked for once, since every question
    is a call of the system, and a thousand streams write fifty times a second.
    """

    def __init__(self, method: str, context: Any, seconds: float) -> None:
        self._method = method
        self._context = context
        self._seconds = seconds
        self._begun = False
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._is_late = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def send_initial_metadata(self, metadata: Any) -> None:
        """Sends the headers."""
        self._begun = True
        await self._context.send_initial_metadata(metadata)

    async def write(self, message: Any) -> None:
        """Sends one message. Raises: Exhausted: it could not be sent in time."""
        try:
            if not self._begun:
                # By themselves, since no window holds them up: gRPC would send them again with the
                # status if they had been part of a write that was given up, and that fails.
                await self.send_initial_metadata(())
            await self._write_in_time(message)
        except InternalError as error:
            # The client is gone, and the cancellation that says so on its way.
            raise asyncio.CancelledError from error
        except TimeoutError as error:
            SLOW_CONSUMERS.labels(rpc=self._method).inc()
            raise Exhausted(
                f"this stream was not read for {self._seconds:g} s; read faster, and take it up again"
                " after the last message that arrived",
                reason="SLOW_CONSUMER",
                metadata={"limit_seconds": f"{self._seconds:g}"},
            ) from error

    async def _write_in_time(self, message: Any) -> None:
        """As `asyncio.timeout` does it, with less around it. Raises: TimeoutError."""
        cancellations = 0 if self._task is None else self._task.cancelling()
        timer = self._loop.call_later(self._seconds, self._give_up)
        try:
            await self._context.write(message)
        except asyncio.CancelledError:
            if self._take_back(cancellations):
                raise TimeoutError from None
            raise
        finally:
            timer.cancel()
            self._take_back(cancellations)

    def _give_up(self) -> None:
        if self._task is not None:
            self._is_late = True
            self._task.cancel()

    def _take_back(self, cancellations: int) -> bool:
        """Takes the own cancellation back. Returns: whether there was one, and nobody else's."""
        if not self._is_late or self._task is None:
            return False
        self._is_late = False
        return self._task.uncancel() <= cancellations


async def _write_all(inner: Any, request: Any, context: _BoundedContext) -> None:
    responses = inner(request, context)
    if inspect.isawaitable(responses):
        # A handler that writes by itself, as the health service's.
        await responses
        return
    async with aclosing(responses):
        async for response in responses:
            try:
                await context.write(response)
            except Exhausted as error:
                # Raised first where the handler yielded: it may add what it knows.
                await responses.athrow(error)
                raise
            # A quiet stream keeps nothing of what it sent.
            del response

"""What happens around every call a server answers."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import structlog
from google.rpc.status_pb2 import Status
from grpc.aio import AbortError, ServerInterceptor, ServicerContext

from services.common.rpc.status import DETAILS_KEY, status_code, to_status
from services.core.errors import CrescendoError

logger = structlog.get_logger()


class ErrorInterceptor(ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Turns errors into status: known kinds with details, all others INTERNAL with an id and no internals."""

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wraps the method's handler, whichever of the four kinds it is."""
        handler: Any = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        if handler.response_streaming:
            inner = handler.stream_stream if handler.request_streaming else handler.unary_stream
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            return make(
                _guard_stream(method, inner),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        inner = handler.stream_unary if handler.request_streaming else handler.unary_unary
        make_unary = (
            grpc.stream_unary_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_unary_rpc_method_handler
        )
        return make_unary(
            _guard_unary(method, inner),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def _guard_unary(method: str, inner: Any) -> Any:
    async def call(request: Any, context: ServicerContext[Any, Any]) -> Any:
        try:
            return await inner(request, context)
        except Exception as error:
            await _abort(method, error, context)

    return call


def _guard_stream(method: str, inner: Any) -> Any:
    async def call(request: Any, context: ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        try:
            async for response in inner(request, context):
                yield response
        except Exception as error:
            await _abort(method, error, context)

    return call


async def _abort(method: str, error: Exception, context: ServicerContext[Any, Any]) -> None:
    if isinstance(error, AbortError):
        raise error
    if isinstance(error, CrescendoError) and type(error) is not CrescendoError:
        code, status = status_code(error), to_status(error)
        logger.info("refused", rpc=method, code=code.name, reason=error.reason)
    else:
        # The text of an unexpected error may hold a password or a path: clients get an id to quote.
        error_id = uuid.uuid4().hex[:12]
        logger.error("internal error", rpc=method, error_id=error_id, exc_info=error)
        code = grpc.StatusCode.INTERNAL
        text = f"internal error {error_id}: the server's log has the details under this id"
        status = Status(code=code.value[0], message=text)
    await context.abort(
        code, status.message, trailing_metadata=((DETAILS_KEY, status.SerializeToString()),)
    )

"""What happens around every call a server answers: a request id, a deadline, a log line, errors in words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import structlog
from grpc.aio import AbortError, ServerInterceptor, ServicerContext

from services.common import request_ids
from services.common.rpc.decoding import decoded, decoding
from services.common.rpc.failing import abort
from services.core.errors import CrescendoError, DeadlinePassed

logger = structlog.get_logger()

DEFAULT_DEADLINE_SECONDS = 60.0
# Requests that name what they are about name it so; logs do too.
_NAMES = ("orchestration_id", "tuning_run_id", "session_id", "dataset_id", "model_run_id")


# Is told of every call that ended: the method's full name, the code's name, seconds.
CallObserver: TypeAlias = Callable[[str, str, float], None]


def ignore_call(_method: str, _code: str, _seconds: float) -> None:
    """Observes nothing."""


class CallInterceptor(ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Wraps each call, whichever of the four kinds it is; StreamWriteInterceptor must stand inside it.

    Errors become status: known kinds with details, all others INTERNAL with an id and no internals.

    Args:
        deadline_seconds: of unary calls whose client set none.
        observe: is told of every call's end.
        made_up_is_cause: whether events name ids this server made up: where clients call, yes.
        reporting_services: full names of services whose calls are reports, not requests: events that
            they bring about name no request.
    """

    def __init__(
        self,
        *,
        deadline_seconds: float = DEFAULT_DEADLINE_SECONDS,
        observe: CallObserver = ignore_call,
        made_up_is_cause: bool = True,
        reporting_services: frozenset[str] = frozenset(),
    ) -> None:
        self._deadline_seconds = deadline_seconds
        self._observe = observe
        self._made_up_is_cause = made_up_is_cause
        self._reporting_services = reporting_services

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wraps the method's handler."""
        handler: Any = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        is_unary = not handler.request_streaming and not handler.response_streaming
        call = _Call(
            method,
            request_id=self._begin(method, handler_call_details),
            observe=self._observe,
            deadline_seconds=self._deadline_seconds if is_unary else None,
        )
        if handler.response_streaming:
            inner = handler.stream_stream if handler.request_streaming else handler.unary_stream
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            return make(
                _guard(call, inner),
                request_deserializer=decoding(handler.request_deserializer),
                response_serializer=handler.response_serializer,
            )
        inner = handler.stream_unary if handler.request_streaming else handler.unary_unary
        make_unary = (
            grpc.stream_unary_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_unary_rpc_method_handler
        )
        return make_unary(
            _guard(call, inner),
            request_deserializer=decoding(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _begin(self, method: str, details: grpc.HandlerCallDetails) -> str:
        given = None
        metadata: Any = details.invocation_metadata
        for key, value in metadata or ():
            if key == request_ids.HEADER:
                given = request_ids.usable(value)
        request_id = given or request_ids.make_up()
        is_report = method.split("/")[1] in self._reporting_services
        is_cause = not is_report and (given is not None or self._made_up_is_cause)
        # gRPC runs each call in a task of its own: what is bound here ends with the call.
        request_ids.begin(request_id, is_cause=is_cause)
        return request_id


class _Call:
    """One call: who it is, when it must end, and how it ended."""

    def __init__(
        self,
        method: str,
        *,
        request_id: str,
        observe: CallObserver,
        deadline_seconds: float | None,
    ) -> None:
        self.method = method
        self._request_id = request_id
        self._observe = observe
        self._deadline_seconds = deadline_seconds
        self._began = time.perf_counter()

    def begin(self, request: Any, context: ServicerContext[Any, Any]) -> Any:
        """Says the request's id and names in logs and answer. Returns: the request to hand on.

        Raises: InvalidRequest: the request's bytes are no message of its type.
        """
        context.set_trailing_metadata(((request_ids.HEADER, self._request_id),))
        request = decoded(request)
        names = {name: getattr(request, name, "") for name in _NAMES}
        structlog.contextvars.bind_contextvars(
            **{
                name: value[:64]
                for name, value in names.items()
                if isinstance(value, str) and value
            }
        )
        return request

    def limit(self, context: ServicerContext[Any, Any]) -> asyncio.Timeout:
        """Gives the time limit of a call; none of ours where the client has set one."""
        if self._deadline_seconds is None or context.time_remaining() is not None:
            return asyncio.timeout(None)
        return asyncio.timeout(self._deadline_seconds)

    def overdue(self) -> DeadlinePassed:
        """Makes the error of a call that ran into our limit."""
        return DeadlinePassed(
            f"not done within the {self._deadline_seconds:g} s that calls without a deadline have;"
            " set a longer deadline or ask for less",
            metadata={"limit_seconds": f"{self._deadline_seconds:g}"},
        )

    async def fail(self, error: Exception, context: ServicerContext[Any, Any]) -> None:
        """Ends the call with an error.

        Raises: AbortError: always.
        """
        if isinstance(error, AbortError):
            self.end(_code_name(context))
            raise error
        extra = ((request_ids.HEADER, self._request_id),)
        try:
            await abort(self.method, error, context, metadata=extra)
        finally:
            self.end(_code_name(context), **_reason(error))

    def end(self, code: str, **details: str) -> None:
        """Tells how it ended."""
        seconds = time.perf_counter() - self._began
        self._observe(self.method, code, seconds)
        if self.method.startswith("/grpc."):
            return  # Health checks come every second.
        log = logger.debug if code in ("OK", "CANCELLED") else logger.info
        log("call ended", rpc=self.method, code=code, seconds=round(seconds, 6), **details)


def _guard(call: _Call, inner: Any) -> Any:
    async def answer(request: Any, context: ServicerContext[Any, Any]) -> Any:
        try:
            request = call.begin(request, context)
            async with call.limit(context) as limit:
                response = await inner(request, context)
        except asyncio.CancelledError:
            call.end("CANCELLED")
            raise
        except Exception as error:
            is_ours = isinstance(error, TimeoutError) and limit.expired()
            await call.fail(call.overdue() if is_ours else error, context)
        else:
            call.end(_code_name(context), **_started(response))
            return response

    return answer


def _started(response: Any) -> dict[str, str]:
    """Names the orchestration an answer is about, where the request could not."""
    found = getattr(getattr(response, "orchestration", None), "orchestration_id", "")
    return {"orchestration_id": found} if isinstance(found, str) and found else {}


def _reason(error: Exception) -> dict[str, str]:
    return {"reason": error.reason} if isinstance(error, CrescendoError) else {}


def _code_name(context: ServicerContext[Any, Any]) -> str:
    code: Any = context.code()
    if isinstance(code, grpc.StatusCode):
        return code.name
    for each in grpc.StatusCode:
        if each.value[0] == code:
            return each.name
    return "OK"

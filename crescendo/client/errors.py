"""What can go wrong, as a client sees it: one class per kind, with everything the server said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

_DETAILS_KEY = "grpc-status-details-bin"
# Names a call in the services' logs and in the events it brings about.
REQUEST_ID_KEY = "x-request-id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing wrong with a request: the field's path, and what is wrong with it."""

    field: str
    description: str

    def __str__(self) -> str:
        return f"{self.field}: {self.description}" if self.field else self.description


class CrescendoError(Exception):
    """Base of every error this library raises on purpose.

    Attributes:
        message: what is wrong, in words.
        reason: a constant such as NOT_FOUND, for programs.
        metadata: the dynamic parts of the message.
        violations: everything wrong with the request; empty unless this is InvalidRequest.
        request_id: the call's name in the services' logs; empty for what no service was asked.
        retry_seconds: how long the service asks to wait before the next attempt; None when it does not say.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: dict[str, str] | None = None,
        violations: tuple[Violation, ...] = (),
        request_id: str = "",
        retry_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.metadata = metadata or {}
        self.violations = violations
        self.request_id = request_id
        self.retry_seconds = retry_seconds

    def __str__(self) -> str:
        return f"{self.message} [request {self.request_id}]" if self.request_id else self.message


class InvalidRequest(CrescendoError):
    """The request breaks rules; `violations` lists every one."""


class NotFound(CrescendoError):
    """Something the request names does not exist."""


class AlreadyExists(CrescendoError):
    """A study name or request id belongs to something else."""


class WrongState(CrescendoError):
    """The thing is not in a state that allows this."""


class Conflict(CrescendoError):
    """Something changed meanwhile: read again and retry."""


class Exhausted(CrescendoError):
    """A quota or limit is used up."""


class Unavailable(CrescendoError):
    """The service does not answer; the message says where it was looked for."""


class EpochChanged(Conflict):
    """The database was restored and may have lost events: numbers seen before mean other events now.

    Forget what was seen, and watch again from a snapshot.
    """


class CursorOutOfRange(CrescendoError):
    """A watch cannot go on from the sequence number it was given: watch again from a snapshot."""


class CursorExpired(CursorOutOfRange):
    """The events after the sequence number were removed, long after the orchestration's end."""


class CursorAhead(CursorOutOfRange):
    """The log ends before the sequence number."""


class WatchGap(CrescendoError):
    """The server left out an event, which it promises never to do: what was seen cannot be trusted."""


_KINDS: dict[grpc.StatusCode, type[CrescendoError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: WrongState,
    grpc.StatusCode.ABORTED: Conflict,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Exhausted,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: Unavailable,
    grpc.StatusCode.OUT_OF_RANGE: CursorOutOfRange,
}

# Where the kind says less than the reason.
_REASONS: dict[str, type[CrescendoError]] = {
    "EPOCH_CHANGED": EpochChanged,
    "CURSOR_EXPIRED": CursorExpired,
    "CURSOR_AHEAD": CursorAhead,
}


def decode_error(
    error: grpc.RpcError, *, service: str, address: str, request_id: str = ""
) -> CrescendoError:
    """Makes a CrescendoError from what gRPC raised, with the details of google.rpc.Status.

    Args:
        service: who was called, such as "coordinator"; named when nobody answers.
        address: where it was looked for.
        request_id: what the call was named; what the service says it was named counts more.
    """
    call: Any = error
    code: grpc.StatusCode = call.code()
    text = call.details() or code.name
    reason = ""
    metadata: dict[str, str] = {}
    violations: tuple[Violation, ...] = ()
    retry_seconds: float | None = None
    status = _status_of(call)
    for detail in status.details if status is not None else ():
        reason, metadata = _error_info(detail) or (reason, metadata)
        violations = _violations(detail) or violations
        retry_seconds = _retry_seconds(detail) if retry_seconds is None else retry_seconds
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        violations = violations or (Violation(field="", description=text),)
    if code is grpc.StatusCode.UNAVAILABLE and not reason:
        # The transport's own text ("failed to connect to all addresses…") helps nobody.
        reason, text = "UNREACHABLE", f"the {service} does not answer at {address}"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and not reason:
        reason, text = "NO_ANSWER", f"the {service} at {address} did not answer in time"
    kind = _REASONS.get(reason, _KINDS.get(code, CrescendoError))
    return kind(
        text,
        reason=reason or code.name,
        metadata=metadata,
        violations=violations,
        request_id=_request_id_of(call) or request_id,
        retry_seconds=retry_seconds,
    )


def _status_of(call: Any) -> Status | None:
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            status: Status = Status.FromString(value)
            return status
    return None


def _request_id_of(call: Any) -> str:
    for key, value in call.trailing_metadata() or ():
        if key == REQUEST_ID_KEY and isinstance(value, str):
            return value
    return ""


def _error_info(detail: AnyMessage) -> tuple[str, dict[str, str]] | None:
    info = ErrorInfo()
    return (info.reason, dict(info.metadata)) if detail.Unpack(info) else None


def _retry_seconds(detail: AnyMessage) -> float | None:
    info = RetryInfo()
    return info.retry_delay.ToNanoseconds() / 1e9 if detail.Unpack(info) else None


def _violations(detail: AnyMessage) -> tuple[Violation, ...]:
    bad = BadRequest()
    if not detail.Unpack(bad):
        return ()
    return tuple(
        Violation(field=each.field, description=each.description) for each in bad.field_violations
    )

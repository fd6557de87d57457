"""What can go wrong, as a client sees it: one class per kind, with everything the server said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

_DETAILS_KEY = "grpc-status-details-bin"


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
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: dict[str, str] | None = None,
        violations: tuple[Violation, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.metadata = metadata or {}
        self.violations = violations


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


class CursorOutOfRange(CrescendoError):
    """A watch cannot go on from the sequence number it was given."""


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


def decode_error(error: grpc.RpcError, *, service: str, address: str) -> CrescendoError:
    """Makes a CrescendoError from what gRPC raised, with the details of google.rpc.Status.

    Args:
        service: who was called, such as "coordinator"; named when nobody answers.
        address: where it was looked for.
    """
    call: Any = error
    code: grpc.StatusCode = call.code()
    text = call.details() or code.name
    reason = ""
    metadata: dict[str, str] = {}
    violations: tuple[Violation, ...] = ()
    status = _status_of(call)
    for detail in status.details if status is not None else ():
        reason, metadata = _error_info(detail) or (reason, metadata)
        violations = _violations(detail) or violations
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        violations = violations or (Violation(field="", description=text),)
    if code is grpc.StatusCode.UNAVAILABLE and not reason:
        # The transport's own text ("failed to connect to all addresses…") helps nobody.
        reason, text = "UNREACHABLE", f"the {service} does not answer at {address}"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        reason, text = "NO_ANSWER", f"the {service} at {address} did not answer in time"
    kind = _KINDS.get(code, CrescendoError)
    return kind(text, reason=reason or code.name, metadata=metadata, violations=violations)


def _status_of(call: Any) -> Status | None:
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            status: Status = Status.FromString(value)
            return status
    return None


def _error_info(detail: AnyMessage) -> tuple[str, dict[str, str]] | None:
    info = ErrorInfo()
    return (info.reason, dict(info.metadata)) if detail.Unpack(info) else None


def _violations(detail: AnyMessage) -> tuple[Violation, ...]:
    bad = BadRequest()
    if not detail.Unpack(bad):
        return ()
    return tuple(
        Violation(field=each.field, description=each.description) for each in bad.field_violations
    )

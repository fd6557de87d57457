"""The one place where errors become gRPC status, and gRPC status errors again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from grpc.aio import AioRpcError

from services.common.redaction import redact
from services.core.errors import (
    AlreadyExists,
    Conflict,
    CrescendoError,
    CursorOutOfRange,
    DeadlinePassed,
    Exhausted,
    FieldViolation,
    InvalidRequest,
    NotFound,
    Unavailable,
    WrongState,
)

logger = structlog.get_logger()

DOMAIN = "crescendo"
DETAILS_KEY = "grpc-status-details-bin"

# Clients refuse more than 8 KiB of metadata by default, text and details together: a thousand
# violations must not turn into a transport error.
_MAX_MESSAGE = 1_000
_MAX_DETAILS_BYTES = 5_000
_FIELD_LENGTH = 120
_DESCRIPTION_LENGTHS = (600, 160)

_CODES: dict[type[CrescendoError], StatusCode] = {
    InvalidRequest: StatusCode.INVALID_ARGUMENT,
    NotFound: StatusCode.NOT_FOUND,
    AlreadyExists: StatusCode.ALREADY_EXISTS,
    WrongState: StatusCode.FAILED_PRECONDITION,
    Conflict: StatusCode.ABORTED,
    CursorOutOfRange: StatusCode.OUT_OF_RANGE,
    Exhausted: StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: StatusCode.UNAVAILABLE,
    DeadlinePassed: StatusCode.DEADLINE_EXCEEDED,
}
_KINDS = {code: kind for kind, code in _CODES.items()}
# Of calls that ended on the way. The transport's own texts name addresses inside the installation.
_ON_THE_WAY = {
    StatusCode.UNAVAILABLE: "{peer} cannot be reached now; retry",
    StatusCode.DEADLINE_EXCEEDED: "{peer} did not answer in time; retry",
    StatusCode.CANCELLED: "the call to {peer} was broken off; retry",
    StatusCode.RESOURCE_EXHAUSTED: "the call was too large on its way to {peer} or back",
    StatusCode.UNIMPLEMENTED: "{peer} does not know this call: it runs another version",
}
_ON_THE_WAY_OTHERWISE = "the call to {peer} ended with {code}"


def status_code(error: CrescendoError) -> StatusCode:
    """Gives the gRPC code for an error; INTERNAL for a kind without one."""
    for kind in type(error).__mro__:
        if kind in _CODES:
            return _CODES[kind]
    return StatusCode.INTERNAL


def to_status(error: CrescendoError) -> Status:
    """Makes a google.rpc.Status with ErrorInfo and, where they apply, BadRequest and RetryInfo."""
    info = ErrorInfo(
        reason=error.reason,
        domain=DOMAIN,
        metadata={
            _encodable(key): _encodable(redact(value)) for key, value in error.metadata.items()
        },
    )
    status = Status(
        code=_number(status_code(error)),
        message=_clip_for_header(error.message),
        details=[_pack(info)],
    )
    if isinstance(error, InvalidRequest):
        status.details.append(_pack(_bad_request(error.violations)))
    if isinstance(error, Exhausted):
        delay = Duration()
        delay.FromNanoseconds(int(error.retry_seconds * 1e9))
        status.details.append(_pack(RetryInfo(retry_delay=delay)))
    return status


def hidden_status(error_id: str) -> Status:
    """Makes the status of an error whose text may hold internals: clients get an id to quote."""
    info = ErrorInfo(reason=CrescendoError.reason, domain=DOMAIN, metadata={"error_id": error_id})
    return Status(
        code=_number(StatusCode.INTERNAL),
        message=f"internal error {error_id}: the server's log has the details under this id",
        details=[_pack(info)],
    )


def from_rpc_error(error: AioRpcError, *, peer: str = "the service") -> CrescendoError:
    """Makes the error a server raised from what its client received.

    A status that no service of ours made (by a transport, a proxy) is told in words of ours, since it
    may reach clients who should know nothing of addresses; its own text goes to the log alone.
    A deadline that passed counts as Unavailable: whether the call was executed is not known.

    Args:
        peer: who was called, as clients may be told.
    """
    code = error.code()
    text = error.details() or code.name
    is_ours = False
    status = _status_of(error)
    reason: str | None = None
    metadata: dict[str, str] = {}
    violations: list[FieldViolation] = []
    for detail in status.details if status else []:
        info, bad = ErrorInfo(), BadRequest()
        if detail.Unpack(info):
            is_ours = info.domain == DOMAIN
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad):
            violations = [
                FieldViolation(field=each.field, description=each.description)
                for each in bad.field_violations
            ]
    if not is_ours:
        logger.info(
            "a call ended on the way", peer=peer, reason=code.name, error=text, limit_seconds=10
        )
        text = _ON_THE_WAY.get(code, _ON_THE_WAY_OTHERWISE).format(peer=peer, code=code.name)
        reason, metadata, violations = None, {}, []
    if code is StatusCode.INVALID_ARGUMENT:
        return InvalidRequest(violations or [FieldViolation(field="", description=text)])
    if code in (StatusCode.DEADLINE_EXCEEDED, StatusCode.CANCELLED):
        return Unavailable(text, reason="NO_ANSWER")
    kind = _KINDS.get(code, CrescendoError)
    return kind(text, reason=reason, metadata=metadata)


def _bad_request(violations: Sequence[FieldViolation]) -> BadRequest:
    """Lists all violations, with shorter texts where they are many; past the room there is, counts them."""
    for length in _DESCRIPTION_LENGTHS:
        bad = BadRequest(
            field_violations=[
                BadRequest.FieldViolation(
                    field=_clip(each.field, _FIELD_LENGTH),
                    description=_clip(each.description, length),
                )
                for each in violations
            ]
        )
        if bad.ByteSize() <= _MAX_DETAILS_BYTES:
            return bad
    while bad.ByteSize() > _MAX_DETAILS_BYTES:
        del bad.field_violations[len(bad.field_violations) * 9 // 10 :]
    left = len(violations) - len(bad.field_violations)
    bad.field_violations.add(field="", description=f"and {left} more violations")
    return bad


def _status_of(error: AioRpcError) -> Status | None:
    metadata: Any = error.trailing_metadata()
    for key, value in metadata or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            return Status.FromString(value)
    return None


def _pack(message: ErrorInfo | BadRequest | RetryInfo) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed


def _number(code: StatusCode) -> int:
    value: tuple[int, str] = code.value
    return value[0]


def _clip(text: str, limit: int) -> str:
    # Texts of what a service itself talked to may quote an address with its password. Before clipping:
    # half a password is one too.
    text = redact(text[: limit + 1_000])
    return _encodable(text if len(text) <= limit else text[: limit - 1] + "…")


def _clip_for_header(text: str) -> str:
    """Clips a text by what it takes as a header: of most scripts each character takes six bytes or more."""
    text = _clip(text, _MAX_MESSAGE)
    room = _MAX_MESSAGE + _header_bytes("…")
    for place, character in enumerate(text):
        room -= _header_bytes(character)
        if room < 0:
            return f"{text[: max(0, place - 1)]}…"
    return text


def _header_bytes(character: str) -> int:
    """What a character takes percent-encoded, as gRPC sends texts."""
    plain = " " <= character <= "~" and character != "%"
    return 1 if plain else 3 * len(character.encode())


def _encodable(text: str) -> str:
    """Replaces what UTF-8 cannot hold, such as halves of characters out of a file's name."""
    return text.encode("utf-8", "replace").decode("utf-8")

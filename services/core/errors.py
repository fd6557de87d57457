"""The one tree of errors: class = kind, `reason` = constant, `metadata` = every dynamic part.

The text of an error is for people: it says what is wrong, the value, the limit and the next step.
Errors are translated to gRPC status in `services.common.rpc.status` only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldViolation:
    """One thing wrong with a request.

    Attributes:
        field: path of the field, such as `initial_param_grid["max_depth"][1]`.
        description: what is wrong with it, the value, the limit and the next step.
    """

    field: str
    description: str


class CrescendoError(Exception):
    """Base of all errors that clients may see."""

    reason = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if reason is not None:
            self.reason = reason
        self.metadata: dict[str, str] = dict(metadata or {})


class InvalidRequest(CrescendoError):
    """A request breaks rules; `violations` lists every one of them."""

    reason = "INVALID_REQUEST"

    def __init__(self, violations: Iterable[FieldViolation]) -> None:
        self.violations = tuple(violations)
        lines = "; ".join(f"{each.field}: {each.description}" for each in self.violations)
        super().__init__(lines or "the request is invalid")


class OutOfSpace(InvalidRequest):
    """A point lies outside a search space; `violations` names each parameter."""

    reason = "OUT_OF_SPACE"


class NotFound(CrescendoError):
    """Something named by the request does not exist."""

    reason = "NOT_FOUND"


class AlreadyExists(CrescendoError):
    """A name or request id is taken by something else."""

    reason = "ALREADY_EXISTS"


class WrongState(CrescendoError):
    """The thing is not in a state that allows this."""

    reason = "WRONG_STATE"


class Conflict(CrescendoError):
    """Something changed meanwhile: read again and retry."""

    reason = "CONFLICT"


class CursorOutOfRange(CrescendoError):
    """A watch cursor lies outside the log (CURSOR_EXPIRED or CURSOR_AHEAD)."""

    reason = "CURSOR_AHEAD"


class Exhausted(CrescendoError):
    """A quota or limit is used up; `retry_seconds` says when to try again."""

    reason = "RESOURCE_EXHAUSTED"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        retry_seconds: float = 1.0,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.retry_seconds = retry_seconds


class DeadlinePassed(CrescendoError):
    """It took longer than it may; whether it was done is not known."""

    reason = "DEADLINE_PASSED"


class Unavailable(CrescendoError):
    """Something this needs cannot be reached now (or is draining); retrying is safe."""

    reason = "UNAVAILABLE"

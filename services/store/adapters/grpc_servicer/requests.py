"""What reading requests needs everywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

from google.protobuf import json_format

from services.common.convert.runs import lifecycle_state_from_proto
from services.common.convert.trials import trial_state_from_proto
from services.core.errors import FieldViolation, InvalidRequest
from services.core.plan import LifecycleState, RequestKey
from services.core.trial import TrialState
from services.core.violations import Violations
from services.store.service.identifiers import checked_request_id

# One tenant until callers have names; a column everywhere it will be needed.
TENANT = "default"

StateT_co = TypeVar("StateT_co", covariant=True)


class _FromProto(Protocol[StateT_co]):
    def __call__(self, number: Any, /) -> StateT_co: ...


def optional(message: Any, name: str) -> Any:
    """Gives an optional field's value; None when it was not set."""
    return getattr(message, name) if message.HasField(name) else None


def request_key(rpc: str, message: Any) -> RequestKey | None:
    """Gives the identity of a request that carries a request id; None without one.

    The hash is over sorted JSON of the fields that were set, without `request_id` and `validate_only`.

    Raises: InvalidRequest: the request id is no UUID.
    """
    if not message.HasField("request_id"):
        return None
    request_id = checked_request_id(message.request_id, "request_id")
    return RequestKey(rpc=rpc, request_id=request_id, body_hash=_body_hash(message))


def _body_hash(message: Any) -> bytes:
    try:
        body = json_format.MessageToDict(message, preserving_proto_field_name=True)
    except (json_format.Error, ValueError):
        # It holds NaN or infinity, which JSON cannot say. Such a request is refused where its values are
        # checked, with all else that is wrong; until then it only must be like no other.
        return hashlib.sha256(message.SerializeToString(deterministic=True)).digest()
    for name in ("request_id", "validate_only"):
        body.pop(name, None)
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def lifecycle_states(
    numbers: Iterable[Any], field: str, found: Violations
) -> tuple[LifecycleState, ...]:
    """Decodes a filter by state; numbers that name no state are gathered."""
    return _states(numbers, field, lifecycle_state_from_proto, found)


def trial_states(numbers: Iterable[Any], field: str, found: Violations) -> tuple[TrialState, ...]:
    """Decodes a filter by state; numbers that name no state are gathered."""
    return _states(numbers, field, trial_state_from_proto, found)


def _states(
    numbers: Iterable[Any], field: str, decode: _FromProto[StateT_co], found: Violations
) -> tuple[StateT_co, ...]:
    # Once each: a request has room for a million of them, and every row is held against all.
    states: dict[StateT_co, None] = {}
    for place, number in enumerate(numbers):
        try:
            states[decode(number)] = None
        except ValueError as error:
            found.add(f"{field}[{place}]", str(error))
    return tuple(states)


def decoded(field: str, decode: Any, message: Any) -> Any:
    """Decodes a message; what it cannot mean is the caller's mistake.

    Raises: InvalidRequest: the message has no meaning this version knows.
    """
    try:
        return decode(message)
    except ValueError as error:
        raise InvalidRequest([FieldViolation(field=field, description=str(error))]) from error

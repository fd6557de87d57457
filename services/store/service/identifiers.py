"""Ids in requests: what cannot be an id names nothing."""

from __future__ import annotations

import uuid

from services.core.errors import FieldViolation, InvalidRequest, NotFound


def new_id() -> str:
    """Makes an id."""
    return str(uuid.uuid4())


def not_found(kind: str, identifier: str) -> NotFound:
    """Makes the error for an id that names nothing."""
    shown = identifier if len(identifier) <= 100 else identifier[:99] + "…"
    text = f"{kind} {shown!r} does not exist" if identifier else f"no {kind} id was given"
    return NotFound(text, metadata={"kind": kind, "id": shown})


def canonical_id(kind: str, text: str) -> str:
    """Gives the one spelling of an id.

    Raises: NotFound: the text is no UUID, hence names nothing.
    """
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise not_found(kind, text) from None


def id_or_none(text: str) -> str | None:
    """Gives the one spelling of an id; None when the text is no UUID."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


def checked_request_id(request_id: str, field: str) -> str:
    """Gives the one spelling of a request id. Raises: InvalidRequest: it is no UUID."""
    found = id_or_none(request_id)
    if found is None:
        raise InvalidRequest(
            [FieldViolation(field=field, description=f"{request_id[:100]!r} is no UUID")]
        )
    return found

"""Pages: sizes, and opaque tokens that remember where a listing goes on and what it listed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from services.core.errors import FieldViolation, InvalidRequest

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000

MAX_PAGE_BYTES = 3 * 1024 * 1024
"""A page ends before it is larger: clients that set no limit of their own take 4 MiB."""

KeyT = TypeVar("KeyT")
EntryT = TypeVar("EntryT")

_MAX_TOKEN = 1_024


def checked_page_size(page_size: int | None) -> int:
    """Gives the page size to use. Raises: InvalidRequest: it is out of range."""
    if page_size is None:
        return DEFAULT_PAGE_SIZE
    if not 1 <= page_size <= MAX_PAGE_SIZE:
        raise InvalidRequest(
            [
                FieldViolation(
                    field="page_size",
                    description=f"is {page_size}, must be between 1 and {MAX_PAGE_SIZE}",
                )
            ]
        )
    return page_size


def page_of(
    found: Sequence[EntryT], *, limit: int, size: Callable[[EntryT], int]
) -> Sequence[EntryT]:
    """Gives the entries of one page: at most `limit`, at least one, else as many as `MAX_PAGE_BYTES` holds.

    Args:
        found: what comes next, up to `limit` + 1 of them.
        size: about how many bytes an entry takes in the answer.
    """
    taken = 0
    for place, each in enumerate(found[:limit]):
        taken += size(each)
        if taken > MAX_PAGE_BYTES and place > 0:
            return found[:place]
    return found[:limit]


def make_token(listing: object, key: object) -> str:
    """Makes a page token.

    Args:
        listing: what is listed and how, so that a token is not used for another listing.
        key: where the next page begins; made of JSON values.
    """
    body = json.dumps([_digest(listing), key], separators=(",", ":"))
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def read_token(listing: object, token: str, decode: Callable[[object], KeyT]) -> KeyT | None:
    """Reads a page token; None for the first page.

    Args:
        decode: makes the key from its JSON form; a ValueError or TypeError refuses the token.

    Raises: InvalidRequest: the token was not made by this listing.
    """
    if not token:
        return None
    try:
        if len(token) > _MAX_TOKEN:
            raise ValueError("longer than any token made here")
        padded = token + "=" * (-len(token) % 4)
        digest, key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if digest != _digest(listing):
            raise ValueError("made by another listing")
        return decode(key)
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error):
        raise InvalidRequest(
            [
                FieldViolation(
                    field="page_token",
                    description="is not a next_page_token of a request with the same filters and"
                    " order; leave it empty for the first page",
                )
            ]
        ) from None


def decode_time_and_id(key: object) -> tuple[datetime, str]:
    """Decodes a key of (ISO time, UUID)."""
    if not isinstance(key, list) or len(key) != 2:
        raise ValueError("not a time and an id")
    return datetime.fromisoformat(key[0]), str(uuid.UUID(str(key[1])))


def _digest(listing: object) -> str:
    return hashlib.sha256(repr(listing).encode()).hexdigest()[:12]

"""Pages: how much one holds, and which tokens are taken."""

from __future__ import annotations

import base64
import json

import pytest

from services.core.errors import InvalidRequest
from services.store.service.pages import (
    MAX_PAGE_BYTES,
    decode_time_and_id,
    make_token,
    page_of,
    read_token,
)

_LISTING = ("things", "default")


def _score(key: object) -> float:
    assert isinstance(key, int)
    return float(key)


def test_a_page_ends_with_its_limit_or_before_it_is_too_large() -> None:
    third = MAX_PAGE_BYTES // 3
    assert page_of([1, 1, 1], limit=2, size=lambda _: 1) == [1, 1]
    assert page_of([third] * 9, limit=100, size=int) == [third] * 3
    assert page_of([], limit=5, size=int) == []
    # One at least, however large, or a listing would never go on.
    assert page_of([MAX_PAGE_BYTES * 2] * 2, limit=100, size=int) == [MAX_PAGE_BYTES * 2]


@pytest.mark.parametrize(
    "key", [["2024-01-01", "x"], ["2024-01-01", 5], ["noon", "x"], [5, 5], ["2024-01-01"], {}, None]
)
def test_a_place_that_is_no_time_and_id_is_refused(key: object) -> None:
    with pytest.raises(InvalidRequest, match="page_token"):
        read_token(_LISTING, make_token(_LISTING, key), decode_time_and_id)


def test_a_number_beyond_all_numbers_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="page_token"):
        read_token(_LISTING, make_token(_LISTING, 10**400), _score)


@pytest.mark.parametrize("body", [b"", b"[", b"[[[[", b"5", b'{"a": 1, "b": 2}', b"\xff\xfe"])
def test_what_is_no_token_is_refused(body: bytes) -> None:
    token = base64.urlsafe_b64encode(body).decode().rstrip("=") or "="
    with pytest.raises(InvalidRequest, match="page_token"):
        read_token(_LISTING, token, lambda key: key)


def test_a_token_leads_back_to_its_place() -> None:
    key = ["2024-01-01T00:00:00+00:00", "3f2b8c9e-1d4a-4c6b-9a77-0e5d2f1b6c88"]
    found = read_token(
        _LISTING, make_token(_LISTING, json.loads(json.dumps(key))), decode_time_and_id
    )
    assert found is not None
    assert [found[0].isoformat(), found[1]] == key

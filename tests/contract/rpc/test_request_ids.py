"""Request ids around every call, of all four kinds: known inside, sent back, sent on, and logged."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from services.common import request_ids
from services.core.errors import NotFound
from tests.contract.rpc.calls import KINDS, SERVICE, begin, error_of, finish, header, serving


async def _tell_id(_request: bytes, _context: Any) -> bytes:
    return f"{request_ids.current()}|{request_ids.cause()}".encode()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_request_id_is_known_inside_and_sent_back(kind: str) -> None:
    async with serving(_tell_id) as (_, channel):
        call = begin(channel, kind, metadata=((request_ids.HEADER, "my id 1"),))
        answers = await finish(call, kind)
        assert answers[-1] == b"my id 1|my id 1"
        assert header(await call.trailing_metadata()) == "my id 1"


@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_carries_the_request_id_too(kind: str) -> None:
    async def answer(_request: bytes, _context: Any) -> bytes:
        raise NotFound("there is no x")

    async with serving(answer) as (_, channel):
        error = await error_of(channel, kind, metadata=((request_ids.HEADER, "mine"),))
    assert header(error.trailing_metadata()) == "mine"


@pytest.mark.parametrize(
    "given", [None, "", " ", "x" * 129], ids=["none", "empty", "blank", "long"]
)
async def test_an_id_that_cannot_be_used_is_replaced(given: str | None) -> None:
    metadata = () if given is None else ((request_ids.HEADER, given),)
    async with serving(_tell_id) as (_, channel):
        call = begin(channel, "unary", metadata=metadata)
        (answer,) = await finish(call, "unary")
        used = answer.decode().split("|")[0]
        assert used != given
        assert len(used) == 36
        assert header(await call.trailing_metadata()) == used


@pytest.mark.parametrize(
    ("given", "is_usable"),
    [
        ("a", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("a\nb", False),
        ("é", False),
        (b"a", False),
    ],
)
def test_what_may_be_a_request_id(given: object, *, is_usable: bool) -> None:
    assert (request_ids.usable(given) == given) is is_usable


async def test_made_up_ids_are_causes_where_clients_call_and_nowhere_else() -> None:
    async with serving(_tell_id) as (_, channel):
        (answer,) = await finish(begin(channel, "unary"), "unary")
    current, cause = answer.decode().split("|")
    assert current == cause
    async with serving(_tell_id, made_up_is_cause=False) as (_, channel):
        (answer,) = await finish(begin(channel, "unary"), "unary")
        named = begin(channel, "unary", metadata=((request_ids.HEADER, "given"),))
        assert await finish(named, "unary") == [b"given|given"]
    assert answer.decode().split("|")[1] == ""


async def test_reports_cause_nothing_though_their_id_is_logged() -> None:
    async with serving(_tell_id, reporting_services=frozenset({SERVICE})) as (_, channel):
        call = begin(channel, "unary", metadata=((request_ids.HEADER, "given"),))
        assert await finish(call, "unary") == [b"given|"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_sends_the_id_on_with_the_calls_it_makes(kind: str) -> None:
    async with serving(_tell_id) as (_, inner):

        async def ask(_request: bytes, _context: Any) -> bytes:
            return (await finish(begin(inner, kind), kind))[-1]

        async with serving(ask) as (_, outer):
            call = begin(outer, "unary", metadata=((request_ids.HEADER, "through"),))
            assert await finish(call, "unary") == [b"through|through"]


async def test_calls_that_nobody_asked_for_carry_no_id() -> None:
    assert request_ids.current() == ""
    async with serving(_tell_id, made_up_is_cause=False) as (_, channel):
        one = await finish(begin(channel, "unary"), "unary")
        two = await finish(begin(channel, "unary"), "unary")
    assert one != two


async def test_every_line_of_a_call_names_its_request() -> None:
    seen: list[dict[str, Any]] = []

    async def answer(_request: bytes, _context: Any) -> bytes:
        seen.append(dict(structlog.contextvars.get_contextvars()))
        return b""

    async with serving(answer) as (_, channel):
        for name in ("one", "two"):
            await finish(begin(channel, "unary", metadata=((request_ids.HEADER, name),)), "unary")
    assert [each["request_id"] for each in seen] == ["one", "two"]

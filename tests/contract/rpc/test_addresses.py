"""Addresses of both versions, alone and in lists: every server in a list is found, by services and clients."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from crescendo.client import addresses, transport
from services.common.rpc import client
from services.common.rpc.client import open_channel
from services.common.rpc.server import RpcServer
from tests.contract.rpc.calls import SERVICE, Calls


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


_NEEDS_IPV6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")


@asynccontextmanager
async def _servers(hosts: list[str]) -> AsyncIterator[str]:
    """Serves on each host, each answering with its own number. Gives their addresses as a list."""
    async with AsyncExitStack() as stack:
        found = []
        for number, host in enumerate(hosts):

            async def answer(_request: bytes, _context: Any, number: int = number) -> bytes:
                return str(number).encode()

            server = RpcServer(
                listen=f"{host}:0", services=[(SERVICE, Calls(answer=answer).register)]
            )
            found.append(await server.start())
            stack.push_async_callback(server.stop, 0)
        yield ", ".join(found)


@pytest.mark.parametrize(
    "hosts",
    [
        ["127.0.0.1"],
        ["127.0.0.1", "127.0.0.1"],
        pytest.param(["[::1]"], marks=_NEEDS_IPV6),
        pytest.param(["[::1]", "[::1]"], marks=_NEEDS_IPV6),
        pytest.param(["127.0.0.1", "[::1]"], marks=_NEEDS_IPV6),
    ],
    ids=",".join,
)
async def test_every_server_of_a_list_answers(hosts: list[str]) -> None:
    async with _servers(hosts) as listed, open_channel(listed) as channel:
        opened: Any = channel
        call = opened.unary_unary(f"/{SERVICE}/unary")
        seen: set[bytes] = set()
        async with asyncio.timeout(120):
            # Until connections to all of them stand.
            while len(seen) < len(hosts):
                seen.add(await call(b"", timeout=60, wait_for_ready=True))
    assert seen == {str(number).encode() for number in range(len(hosts))}


@_NEEDS_IPV6
async def test_a_client_reaches_a_list_of_both_versions() -> None:
    async with _servers(["127.0.0.1", "[::1]"]) as listed:
        peer = transport.connect("store", listed)
        try:
            opened: Any = peer.channel
            call = opened.unary_unary(f"/{SERVICE}/unary")
            answer = await asyncio.to_thread(call, b"", timeout=60, wait_for_ready=True)
        finally:
            peer.channel.close()
    assert answer in (b"0", b"1")


@pytest.mark.parametrize(
    "target_of", [client.target_of, addresses.target_of], ids=["service", "client"]
)
def test_a_list_is_named_as_grpc_wants_it(target_of: Any) -> None:
    assert target_of(["store:1"]) == "store:1"
    assert target_of(["[::1]:1"]) == "[::1]:1"
    assert target_of(["10.0.0.1:1", "10.0.0.2:2"]) == "ipv4:10.0.0.1:1,10.0.0.2:2"
    assert target_of(["[::1]:1", "[::2]:2"]) == "ipv6:[::1]:1,[::2]:2"
    assert target_of(["10.0.0.1:1", "[::2]:2"]) == "ipv6:[::ffff:10.0.0.1]:1,[::2]:2"

"""What probes and Prometheus get: readiness in words, metrics, and no trouble for the service."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import pytest
import uvloop
from prometheus_client import Gauge

from services.common.monitoring import Condition, monitoring
from services.core.errors import Unavailable
from testbed.addresses import free_port
from tests.support.http import fetch, metric, send

_PROBED = Gauge("tests_monitoring_probed", "Set by a refresh.")


@pytest.fixture(autouse=True)
def _fresh() -> None:
    _PROBED.set(0)


async def test_a_process_that_can_work_is_ready_and_says_what_is_amiss_anyway() -> None:
    condition = Condition(notes=("the broker is away",))
    async with monitoring("127.0.0.1:0", look=lambda: condition) as address:
        answer = await fetch(address, "/readyz")
    assert (answer.status, answer.body) == (200, "ready\nnote: the broker is away\n")


async def test_a_process_that_cannot_work_says_why_with_503_and_still_lives() -> None:
    condition = Condition(problems=("Postgres does not answer", "draining"))
    async with monitoring("127.0.0.1:0", look=lambda: condition) as address:
        ready = await fetch(address, "/readyz")
        live = await fetch(address, "/livez")
    assert ready.status == 503
    assert ready.body == "not ready: Postgres does not answer\nnot ready: draining\n"
    assert (live.status, live.body) == (200, "alive\n")


async def test_metrics_are_refreshed_before_they_are_read() -> None:
    async def refresh() -> None:
        _PROBED.inc()

    async with monitoring("127.0.0.1:0", look=Condition, refresh=refresh) as address:
        assert await metric(address, "tests_monitoring_probed") == 1
        assert await metric(address, "tests_monitoring_probed") == 2


async def test_metrics_come_also_when_what_they_ask_is_away() -> None:
    async def refresh() -> None:
        raise Unavailable("the database is away")

    async with monitoring("127.0.0.1:0", look=Condition, refresh=refresh) as address:
        answer = await fetch(address, "/metrics")
    assert answer.status == 200
    assert "tests_monitoring_probed 0.0" in answer.body


async def test_prometheus_gets_the_format_it_asks_for() -> None:
    async with monitoring("127.0.0.1:0", look=Condition) as address:
        plain = await fetch(address, "/metrics")
        open_metrics = await fetch(
            address, "/metrics", accept="application/openmetrics-text; version=1.0.0"
        )
    assert "text/plain" in plain.head
    assert "application/openmetrics-text" in open_metrics.head
    assert open_metrics.body.endswith("# EOF\n")


async def test_a_port_that_is_taken_is_replaced_by_a_free_one() -> None:
    async with (
        monitoring("127.0.0.1:0", look=Condition) as first,
        monitoring(first, look=Condition) as second,
    ):
        assert first != second
        assert (await fetch(second, "/livez")).status == 200


def test_of_two_that_bind_a_port_at_the_same_moment_the_second_takes_a_free_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    neighbour = socket.socket()
    neighbour.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    neighbour.bind(("127.0.0.1", 0))
    wanted = neighbour.getsockname()
    bind = socket.socket.bind

    def bind_and_be_overtaken(self: socket.socket, address: Any) -> None:
        bind(self, address)
        if self.getsockname() == wanted:
            neighbour.listen()

    async def serve() -> None:
        async with monitoring(f"127.0.0.1:{wanted[1]}", look=Condition) as address:
            assert address != f"127.0.0.1:{wanted[1]}"
            assert (await fetch(address, "/livez")).status == 200

    monkeypatch.setattr(socket.socket, "bind", bind_and_be_overtaken)
    with neighbour:
        # The services' loop: the other one tells of a socket that could not listen by itself.
        uvloop.run(serve())


@pytest.mark.parametrize("listen", ["", "off"])
async def test_it_can_be_turned_off(listen: str) -> None:
    async with monitoring(listen, look=Condition) as address:
        assert address == ""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/metrics", 405),
        ("HEAD", "/livez", 200),
        ("GET", "/livez?x=1", 200),
    ],
)
async def test_other_requests_are_answered_in_kind(method: str, path: str, status: int) -> None:
    async with monitoring("127.0.0.1:0", look=Condition) as address:
        answer = await fetch(address, path, method=method)
    assert answer.status == status
    assert (answer.body == "") is (method == "HEAD")


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"\x00\xff" * 5000,
        b"GET /livez HTTP/1.1\r\n" + b"a: b\r\n" * 500,
    ],
    ids=["empty", "no request", "binary", "headers without end"],
)
async def test_garbage_closes_its_connection_and_nothing_else(data: bytes) -> None:
    async with monitoring("127.0.0.1:0", look=Condition) as address:
        # Closed before everything was read is as good.
        with contextlib.suppress(ConnectionError):
            assert await send(address, data) == ""
        assert (await fetch(address, "/livez")).status == 200


async def test_many_connections_that_say_nothing_do_not_add_up() -> None:
    async with monitoring("127.0.0.1:0", look=Condition) as address:
        host, port = address.rsplit(":", 1)
        silent = [await asyncio.open_connection(host, int(port)) for _ in range(40)]
        closed = [reader for reader, _ in silent[32:]]
        for reader in closed:
            assert await asyncio.wait_for(reader.read(), 60) == b""
        for _, writer in silent:
            writer.close()
        async with asyncio.timeout(60):
            while True:
                try:
                    if (await fetch(address, "/livez")).status == 200:
                        break
                except (ConnectionError, IndexError):
                    await asyncio.sleep(0.01)


async def test_leaving_closes_the_address() -> None:
    listen = f"127.0.0.1:{free_port()}"
    async with monitoring(listen, look=Condition) as address:
        assert address == listen
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await fetch(listen, "/livez")

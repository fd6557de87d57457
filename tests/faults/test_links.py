"""The proxy itself: each fault does to a connection what it says."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.faults.support.proxy import Link, Links, Mode

DEADLINE = 60.0


@pytest.fixture
def echo() -> Iterator[str]:
    """A server that sends back what it gets. Yields: its address."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(1000):
                    connection.sendall(data)
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    yield f"127.0.0.1:{server.getsockname()[1]}"
    server.shutdown(socket.SHUT_RDWR)
    server.close()


@pytest.fixture
def link(echo: str) -> Iterator[Link]:
    with Links(seed=1) as links:
        yield links.add("test", echo)


def connect(link: Link) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=DEADLINE)


def ask(connection: socket.socket, data: bytes = b"x") -> bytes:
    connection.sendall(data)
    return connection.recv(1000)


def test_what_is_sent_comes_back(link: Link) -> None:
    with connect(link) as connection:
        assert ask(connection, b"hello") == b"hello"
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) == b""


def test_a_cut_resets_connections_and_takes_new_ones(link: Link) -> None:
    with connect(link) as connection:
        assert ask(connection)
        assert link.cut() == 1
        with pytest.raises(ConnectionResetError):
            connection.recv(1000)
    with connect(link) as connection:
        assert ask(connection)


def test_a_link_that_refuses_does_so_until_it_is_healed(link: Link) -> None:
    link.set_mode(Mode.REFUSE)
    with pytest.raises(ConnectionRefusedError):
        connect(link)
    link.heal()
    with connect(link) as connection:
        assert ask(connection)


@pytest.mark.parametrize("mode", [Mode.HOLE, Mode.HOLE_UP, Mode.HOLE_DOWN])
def test_a_hole_swallows_and_spoils_the_connection(link: Link, mode: Mode) -> None:
    with connect(link) as connection:
        assert ask(connection)
        connection.settimeout(0.3)
        link.set_mode(mode)
        with pytest.raises(TimeoutError):
            ask(connection)
        link.heal()
        connection.settimeout(DEADLINE)
        with pytest.raises(ConnectionResetError):
            connection.recv(1000)


def test_what_a_stalled_link_was_given_arrives_later(link: Link) -> None:
    with connect(link) as connection:
        assert ask(connection)
        connection.settimeout(0.3)
        link.set_mode(Mode.STALL)
        with pytest.raises(TimeoutError):
            ask(connection, b"late")
        link.heal()
        connection.settimeout(DEADLINE)
        assert connection.recv(1000) == b"late"


def test_a_delay_is_waited_for_each_way(link: Link) -> None:
    link.delay(0.1)
    with connect(link) as connection:
        began = time.monotonic()
        assert ask(connection)
        assert time.monotonic() - began >= 0.2


def test_an_answer_that_is_lost_takes_its_connection_along(link: Link) -> None:
    link.lose_answers(1.0, hold_seconds=0.1)
    with connect(link) as connection, pytest.raises(ConnectionResetError):
        ask(connection)
    link.lose_answers(0.0)
    with connect(link) as connection:
        assert ask(connection)


def test_a_link_that_is_cut_every_so_often_is_cut_again(link: Link) -> None:
    link.cut_every(0.05)
    for _ in range(2):
        with connect(link) as connection, pytest.raises(ConnectionResetError):
            assert ask(connection)
            connection.recv(1000)

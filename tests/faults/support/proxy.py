"""TCP links that can be cut, refused, slowed, frozen and swallowed, each with its own fault."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.faults.support.background import LoopThread

ResultT = TypeVar("ResultT")

_CHUNK = 64 * 1024


class Mode(Enum):
    """What a link does with connections and bytes."""

    PASS = "pass"
    # New connections are refused, as by a host without the program.
    REFUSE = "refuse"
    # Bytes are swallowed while the connection stays: what a firewall that lost its state does.
    HOLE = "hole"
    HOLE_UP = "hole up"
    HOLE_DOWN = "hole down"
    # Nothing is read or written; what was sent arrives once the link passes again.
    STALL = "stall"


_SWALLOWS_UP = frozenset({Mode.HOLE, Mode.HOLE_UP})
_SWALLOWS_DOWN = frozenset({Mode.HOLE, Mode.HOLE_DOWN})


@dataclass(slots=True, eq=False, kw_only=True)
class _Connection:
    """One client's connection and the one made to the target for it."""

    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    # Bytes were swallowed: what would follow makes no sense to either side.
    spoilt: bool = False
    answers_lost: bool = False

    def reset(self) -> None:
        """Ends both sides with RST, as a crashed peer's kernel does."""
        for writer in self.writers:
            sock: socket.socket | None = writer.get_extra_info("socket")
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        for task in self.tasks:
            task.cancel()


class Link:
    """A listening port of 127.0.0.1 that passes connections on to a target.

    Its methods may be called from any thread; each returns once the link behaves that way.

    Attributes:
        address: where to connect to, `host:port`.
        accepted: connections accepted so far.
    """

    def __init__(
        self, hub: Links, name: str, target: tuple[str, int], *, rng: random.Random
    ) -> None:
        self.name = name
        self.accepted = 0
        self.port = 0
        self._hub = hub
        self._target = target
        self._rng = rng
        self._mode = Mode.PASS
        self._passing = asyncio.Event()
        self._passing.set()
        self._latency = (0.0, 0.0)
        self._lost_answers = (0.0, 0.0)
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._cutter: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def mode(self) -> Mode:
        return self._mode

    def set_mode(self, mode: Mode) -> None:
        """Changes what happens to connections and bytes from now on."""
        self._hub.run(self._set_mode(mode))

    def heal(self) -> None:
        """Passes everything again; connections whose bytes were swallowed are reset."""
        self._hub.run(self._heal())

    def cut(self) -> int:
        """Resets all connections. Returns: how many there were."""
        return self._hub.run(self._cut())

    def cut_every(self, seconds: float) -> None:
        """Resets all connections every so often, with jitter of half as much, until healed."""
        self._hub.run(self._start_cutting(seconds))

    def delay(self, seconds: float, jitter: float = 0.0) -> None:
        """Delays what passes by `seconds` ± `jitter`, each way."""
        self._hub.run(self._configure(latency=(seconds, jitter)))

    def lose_answers(self, share: float, hold_seconds: float = 0.0) -> None:
        """Drops that share of the target's answers, then resets the connection after a while.

        The request has been carried out then, and the caller does not know it.
        """
        self._hub.run(self._configure(lost_answers=(share, hold_seconds)))

    async def open(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port or self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._cutter is not None:
            self._cutter.cancel()
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _set_mode(self, mode: Mode) -> None:
        was, self._mode = self._mode, mode
        if mode is Mode.STALL:
            self._passing.clear()
        else:
            self._passing.set()
        if mode is Mode.REFUSE:
            if self._server is not None:
                self._server.close()
                self._server = None
            await self._cut()
        elif self._server is None:
            await self.open()
        if mode is Mode.PASS and was is not Mode.PASS:
            for each in tuple(self._connections):
                if each.spoilt:
                    each.reset()

    async def _heal(self) -> None:
        if self._cutter is not None:
            self._cutter.cancel()
            self._cutter = None
        self._latency = self._lost_answers = (0.0, 0.0)
        await self._set_mode(Mode.PASS)

    async def _configure(
        self,
        *,
        latency: tuple[float, float] | None = None,
        lost_answers: tuple[float, float] | None = None,
    ) -> None:
        self._latency = latency or self._latency
        self._lost_answers = lost_answers or self._lost_answers

    async def _start_cutting(self, seconds: float) -> None:
        async def cutting() -> None:
            while True:
                await asyncio.sleep(seconds * self._rng.uniform(0.5, 1.5))
                await self._cut()

        if self._cutter is not None:
            self._cutter.cancel()
        self._cutter = asyncio.create_task(cutting())

    async def _cut(self) -> int:
        connections = tuple(self._connections)
        for each in connections:
            each.reset()
        return len(connections)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Tasks of our own: the server reports those it makes when they are cancelled.
        self.accepted += 1
        connection = _Connection(writers=[writer])
        self._connections.add(connection)
        task = asyncio.create_task(self._serve(connection, reader, writer))
        connection.tasks.append(task)
        task.add_done_callback(lambda _: self._forget(connection))

    def _forget(self, connection: _Connection) -> None:
        connection.reset()
        self._connections.discard(connection)

    async def _serve(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._target)
        except OSError:
            # A target that is away refuses: so does the link, as far as a proxy can.
            return
        connection.writers.append(up_writer)
        pumps = [
            asyncio.create_task(self._pump(connection, reader, up_writer, upward=True)),
            asyncio.create_task(self._pump(connection, up_reader, writer, upward=False)),
        ]
        connection.tasks += pumps
        await asyncio.wait(pumps)

    async def _pump(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        upward: bool,
    ) -> None:
        swallowing = _SWALLOWS_UP if upward else _SWALLOWS_DOWN
        try:
            while chunk := await reader.read(_CHUNK):
                await self._passing.wait()
                if self._mode in swallowing or (not upward and self._loses(connection)):
                    connection.spoilt = True
                    continue
                mean, jitter = self._latency
                if mean > 0:
                    await asyncio.sleep(max(0.0, mean + self._rng.uniform(-jitter, jitter)))
                writer.write(chunk)
                await writer.drain()
            await self._passing.wait()
            if writer.can_write_eof() and not writer.is_closing():
                writer.write_eof()
        except (OSError, RuntimeError):
            connection.reset()

    def _loses(self, connection: _Connection) -> bool:
        share, hold_seconds = self._lost_answers
        if not connection.answers_lost and self._rng.random() < share:
            connection.answers_lost = True
            asyncio.get_running_loop().call_later(hold_seconds, connection.reset)
        return connection.answers_lost


class Links:
    """All links of a test, on an event loop in a thread of its own; a context manager."""

    def __init__(self, *, seed: int = 0) -> None:
        self.all: list[Link] = []
        self._rng = random.Random(seed)
        self._loop = LoopThread()

    def __enter__(self) -> Self:
        self._loop.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.run(self._close())
        self._loop.stop()

    def add(self, name: str, target: str) -> Link:
        """Opens a link to `host:port`."""
        host, _, port = target.rpartition(":")
        link = Link(self, name, (host, int(port)), rng=random.Random(self._rng.random()))
        self.run(link.open())
        self.all.append(link)
        return link

    def heal(self) -> None:
        """Heals all links."""
        for each in self.all:
            each.heal()

    def run(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Runs something on the links' loop."""
        return self._loop.run(coroutine)

    async def _close(self) -> None:
        for each in self.all:
            await each.close()

"""A TCP link that can be made to swallow everything, as a peer that froze or a cable that was cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class BlackHole:
    """Forwards until `swallow`; from then on nothing arrives, and no connection is closed."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._swallowing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.address = ""
        self.connections = 0

    def swallow(self) -> None:
        """Forwards nothing any more."""
        self._swallowing = True

    def let_through(self) -> None:
        """Forwards again; what was swallowed is lost, and with it the connections it belonged to."""
        self._swallowing = False

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Takes a connection."""
        self.connections += 1
        host, port = self._target.rsplit(":", 1)
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        for source, sink in ((reader, there_writer), (there_reader, writer)):
            self._writers.add(sink)
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                if not self._swallowing:
                    sink.write(data)
                    await sink.drain()
        except OSError:
            pass
        finally:
            if not self._swallowing:
                sink.close()

    def close(self) -> None:
        """Ends everything."""
        for task in tuple(self._tasks):
            task.cancel()
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def black_hole(target: str) -> AsyncIterator[BlackHole]:
    """Listens in front of `host:port`."""
    hole = BlackHole(target)
    server = await asyncio.start_server(hole.handle, "127.0.0.1", 0)
    hole.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield hole
    finally:
        server.close()
        hole.close()

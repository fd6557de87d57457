"""What operators' programs ask a process over HTTP: /metrics, /livez, /readyz."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import structlog
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from services.core.errors import CrescendoError

logger = structlog.get_logger()

_REQUEST_SECONDS = 5.0
_CHECK_SECONDS = 5.0
_MAX_CONNECTIONS = 32
_MAX_LINES = 100
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}
_PLAIN = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Whether a process can do its work.

    Attributes:
        problems: what keeps it from its work, in words; empty when ready.
        notes: what is amiss without keeping it from its work.
    """

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


Look: TypeAlias = Callable[[], Condition]
Refresh: TypeAlias = Callable[[], Awaitable[None]]


async def nothing_to_refresh() -> None:
    """Refreshes nothing."""


@asynccontextmanager
async def monitoring(
    listen: str, *, look: Look, refresh: Refresh = nothing_to_refresh
) -> AsyncIterator[str]:
    """Answers /metrics, /livez and /readyz while entered; gives the address, empty when turned off.

    It runs on the service's own event loop on purpose: one that hangs is not alive.

    Args:
        listen: `host:port`; a port that is taken is replaced by a free one, since several workers
            may share a machine. `off` or empty turns it off.
        look: says whether the process is ready, at once: called for every probe.
        refresh: brings gauges up to date that cost something, before metrics are read.
    """
    if not listen or listen == "off":
        yield ""
        return
    handler = _Handler(look, refresh)
    server, address = await _listening(listen, handler)
    logger.info("monitoring", address=address)
    try:
        yield address
    finally:
        server.close()
        handler.close()


async def _listening(listen: str, handler: _Handler) -> tuple[asyncio.Server, str]:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        server = await asyncio.start_server(handler.serve, host or None, int(port), limit=8192)
        # Of two that bind at the same moment one may be left without its socket, and without an error.
        if not all(server.sockets):
            server.close()
            raise OSError(f"{listen} was taken meanwhile")
    except OSError as error:
        server = await asyncio.start_server(handler.serve, host or None, 0, limit=8192)
        taken = server.sockets[0].getsockname()[1]
        logger.warning(
            "monitoring address taken; using a free port",
            wanted=listen,
            port=taken,
            error=type(error).__name__,
        )
    bound = server.sockets[0].getsockname()
    name = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
    return server, f"{name}:{bound[1]}"


class _Handler:
    """Answers one short request per connection."""

    def __init__(self, look: Look, refresh: Refresh) -> None:
        self._look = look
        self._refresh = refresh
        self._open: set[asyncio.StreamWriter] = set()

    def close(self) -> None:
        """Closes what is open."""
        for writer in tuple(self._open):
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers, whatever comes, and closes."""
        if len(self._open) >= _MAX_CONNECTIONS:
            writer.close()
            return
        self._open.add(writer)
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                method, path, accept = await _request(reader)
            status, kind, body = await self._answer(method, path, accept)
            head = (
                f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            async with asyncio.timeout(_REQUEST_SECONDS):
                writer.write(head.encode("ascii") + (b"" if method == "HEAD" else body))
                await writer.drain()
        except (OSError, TimeoutError, EOFError, ValueError) as error:
            logger.debug("monitoring request failed", error=type(error).__name__)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, method: str, path: str, accept: str) -> tuple[int, str, bytes]:
        if method not in ("GET", "HEAD"):
            return 405, _PLAIN, b"only GET and HEAD are answered\n"
        match path.split("?", 1)[0]:
            case "/livez":
                return 200, _PLAIN, b"alive\n"
            case "/readyz":
                return self._readiness()
            case "/metrics":
                return await self._metrics(accept)
            case _:
                return 404, _PLAIN, b"there are /metrics, /livez and /readyz\n"

    def _readiness(self) -> tuple[int, str, bytes]:
        condition = self._look()
        lines = [
            *(f"not ready: {each}" for each in condition.problems),
            *(f"note: {each}" for each in condition.notes),
        ]
        if not condition.problems:
            lines.insert(0, "ready")
        return (503 if condition.problems else 200), _PLAIN, ("\n".join(lines) + "\n").encode()

    async def _metrics(self, accept: str) -> tuple[int, str, bytes]:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await self._refresh()
        except (CrescendoError, TimeoutError) as error:
            # The rest is as true as ever, and most wanted when something is away.
            logger.debug("gauges not refreshed", error=str(error) or type(error).__name__)
        encode, kind = choose_encoder(accept)
        return 200, kind, encode(REGISTRY)


async def _request(reader: asyncio.StreamReader) -> tuple[str, str, str]:
    """Reads a request's method, path and Accept header. Raises: ValueError: it is none."""
    first = (await reader.readline()).decode("latin-1").split()
    if len(first) != 3:
        raise ValueError("no HTTP request")
    accept = ""
    for _ in range(_MAX_LINES):
        line = (await reader.readline()).decode("latin-1").strip()
        if not line:
            return first[0], first[1], accept
        name, _, value = line.partition(":")
        if name.lower() == "accept":
            accept = value.strip()
    raise ValueError("too many headers")

"""One HTTP request over a plain socket, as a probe makes it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said."""

    status: int
    head: str
    body: str


async def fetch(address: str, path: str, *, method: str = "GET", accept: str = "*/*") -> Answer:
    """Asks `host:port` for a path."""
    request = f"{method} {path} HTTP/1.1\r\nHost: {address}\r\nAccept: {accept}\r\n\r\n"
    text = await send(address, request.encode())
    head, _, body = text.partition("\r\n\r\n")
    return Answer(status=int(head.split()[1]), head=head, body=body)


async def send(address: str, data: bytes) -> str:
    """Sends bytes and reads until the server closes."""
    host, port = address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        await writer.drain()
        return (await asyncio.wait_for(reader.read(), 60)).decode()
    finally:
        writer.close()


async def metric(address: str, name: str, **labels: str) -> float:
    """Reads one sample's value; 0 where there is none yet."""
    wanted = "".join(f'{key}="{value}",' for key, value in sorted(labels.items())).rstrip(",")
    series = f"{name}{{{wanted}}}" if wanted else name
    for line in (await fetch(address, "/metrics")).body.splitlines():
        found, _, value = line.rpartition(" ")
        if found == series:
            return float(value)
    return 0.0

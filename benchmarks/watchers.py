"""Many watchers of one search in one process that hardly costs anything: what is measured is the store.

`python -m benchmarks.watchers ADDRESS ORCHESTRATION COUNT` opens the streams, says `open`, and answers
lines on its standard input: `clear` forgets what was measured, `report` prints it as JSON, `stuck` opens
a stream that is never read, `unstuck` closes it. It ends with its input.

The watchers speak HTTP/2 by themselves, as much of it as a gRPC stream needs: a client of grpcio takes
longer to receive a message than the store to send it, and a thousand of them would fill the machine that
is to be measured. Each message is decoded once for all watchers, and that every watcher is sent each
event once and in order is checked on the way.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import cast

import uvloop

from benchmarks.arrivals import Arrivals
from tuning.v1 import run_service_pb2

_PATH = "/tuning.v1.RunService/WatchOrchestration"
_PER_CONNECTION = 100
_OPEN_SECONDS = 120

_DATA, _HEADERS, _RESET, _SETTINGS, _PING = 0, 1, 3, 4, 6
_WINDOW_UPDATE = 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_FRAME_HEAD, _MESSAGE_HEAD = 9, 5
_DEFAULT_WINDOW = 65_535
_WIDEST_WINDOW = 2**31 - 1
_INITIAL_WINDOW_SIZE = 4


class Watchers(asyncio.Protocol):
    """Watches on one connection.

    Args:
        request: the encoded WatchOrchestrationRequest.
        window: bytes that the store may send on each stream before it must wait, for ever.
    """

    def __init__(self, request: bytes, count: int, arrivals: Arrivals, window: int) -> None:
        self._request = request
        self._count = count
        self._arrivals = arrivals
        self._window = window
        self._rest = b""
        self._begun: dict[int, bytes] = {}
        self._last: dict[int, int] = {}
        self._opened: set[int] = set()
        self.open = asyncio.Event()
        self.failure = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for all streams at once."""
        self._transport = cast("asyncio.Transport", transport)
        head = b"".join(
            _literal(name, value)
            for name, value in (
                (":method", "POST"),
                (":scheme", "http"),
                (":path", _PATH),
                (":authority", "localhost"),
                ("content-type", "application/grpc"),
                ("te", "trailers"),
            )
        )
        body = b"\0" + len(self._request).to_bytes(4, "big") + self._request
        settings = _INITIAL_WINDOW_SIZE.to_bytes(2, "big") + self._window.to_bytes(4, "big")
        wider = (_WIDEST_WINDOW - _DEFAULT_WINDOW).to_bytes(4, "big")
        frames = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            _frame(_SETTINGS, 0, 0, settings),
            _frame(_WINDOW_UPDATE, 0, 0, wider),
        ]
        for stream in range(1, 2 * self._count, 2):
            frames += [_frame(_HEADERS, _END_HEADERS, stream, head)]
            frames += [_frame(_DATA, _END_STREAM, stream, body)]
        self._transport.write(b"".join(frames))

    def data_received(self, data: bytes) -> None:
        """Takes the frames that came."""
        now = time.time()  # noqa: TID251 (compared with the database's, on the same machine)
        data = self._rest + data if self._rest else data
        place = 0
        while len(data) - place >= _FRAME_HEAD:
            start = place + _FRAME_HEAD
            end = start + int.from_bytes(data[place : place + 3], "big")
            if end > len(data):
                break
            kind = data[place + 3]
            if kind == _DATA:
                self._take(int.from_bytes(data[place + 5 : start], "big"), data[start:end], now)
            elif kind in (_SETTINGS, _PING) and not data[place + 4] & _ACK:
                answer = data[start:end] if kind == _PING else b""
                self._transport.write(_frame(kind, _ACK, 0, answer))
            elif kind == _RESET or (kind == _HEADERS and data[place + 4] & _END_STREAM):
                self._fail("the store ended a stream")
            place = end
        self._rest = data[place:]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the protocol's)
        """Notes that the store has gone."""
        self._fail("the connection broke")

    def close(self) -> None:
        """Leaves."""
        self._transport.abort()

    def _take(self, stream: int, data: bytes, now: float) -> None:
        if stream in self._begun:
            data = self._begun.pop(stream) + data
        while len(data) >= _MESSAGE_HEAD:
            end = _MESSAGE_HEAD + int.from_bytes(data[1:_MESSAGE_HEAD], "big")
            if len(data) < end:
                break
            self._receive(stream, data[_MESSAGE_HEAD:end], now)
            data = data[end:]
        if data:
            self._begun[stream] = data

    def _receive(self, stream: int, message: bytes, now: float) -> None:
        page = self._arrivals.page(message)
        if stream not in self._opened:
            self._opened.add(stream)
            if len(self._opened) == self._count:
                self.open.set()
        if page.moments:
            if page.first != self._last.get(stream, page.first - 1) + 1:
                self._fail(f"event {page.first} does not follow {self._last[stream]}")
            self._last[stream] = page.last
            self._arrivals.arrived(page, now)

    def _fail(self, why: str) -> None:
        self.failure = self.failure or why
        self.open.set()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    )


def _literal(name: str, value: str) -> bytes:
    """Encodes a header field by itself: no table to keep in step."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


async def _watch(
    address: str, request: bytes, count: int, arrivals: Arrivals, window: int = _WIDEST_WINDOW
) -> Watchers:
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    _, watchers = await loop.create_connection(
        lambda: Watchers(request, count, arrivals, window), host, int(port)
    )
    return watchers


async def _serve(address: str, orchestration_id: str, count: int) -> None:
    request = run_service_pb2.WatchOrchestrationRequest(
        orchestration_id=orchestration_id
    ).SerializeToString()
    arrivals, stuck = Arrivals(), list[Watchers]()
    crowd = [
        await _watch(address, request, min(_PER_CONNECTION, count - start), arrivals)
        for start in range(0, count, _PER_CONNECTION)
    ]
    async with asyncio.timeout(_OPEN_SECONDS):
        for each in crowd:
            await each.open.wait()
    _say("open")
    while word := (await asyncio.to_thread(sys.stdin.readline)).strip():
        match word:
            case "stuck":
                # Room for the snapshot and little more: the store's writes come to a halt at once.
                stuck.append(await _watch(address, request, 1, Arrivals(), _DEFAULT_WINDOW // 64))
                _say("ok")
            case "unstuck":
                stuck.pop().close()
                _say("ok")
            case "clear":
                arrivals.clear()
                _say("ok")
            case _:
                _say(json.dumps(_report(crowd, arrivals)))


def _report(crowd: list[Watchers], arrivals: Arrivals) -> dict[str, object]:
    return {
        "failures": sorted({each.failure for each in crowd} - {""}),
        "messages": arrivals.messages,
        "latencies": [round(each, 5) for each in arrivals.latencies()],
        "cpu_seconds": time.process_time(),
    }


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))

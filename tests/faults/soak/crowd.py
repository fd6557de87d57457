"""A thousand watchers of one search in a process of their own, which decodes each page once for all.

`python -m tests.faults.soak.crowd ADDRESS ORCHESTRATION COUNT` opens the streams, says `open`, and
answers lines on its standard input: `stuck` adds a watcher that does not read, `clear` forgets what was
measured, `report` prints it. It ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

import grpc

from services.common.rpc.client import open_channel
from testbed.paths import ROOT
from testbed.processes import service_environment
from tuning.v1 import run_service_pb2

_METHOD = "/tuning.v1.RunService/WatchOrchestration"
_PER_CHANNEL = 50
_OPEN_SECONDS = 60


class Crowd:
    """The process, as whoever measures sees it; a context manager that waits for all streams to open."""

    def __init__(self, address: str, orchestration_id: str, count: int) -> None:
        self._arguments = [address, orchestration_id, str(count)]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.soak.crowd", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=service_environment({}),
        )
        if self._line() != "open":
            raise RuntimeError("the crowd could not open its streams")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def add_stuck(self) -> None:
        """Adds a watcher that opens its stream and never reads from it."""
        self._ask("stuck")

    def clear(self) -> None:
        """Forgets what was measured."""
        self._ask("clear")

    def latencies(self) -> list[float]:
        """Gives the seconds between an event's time in the database and its arrival at each watcher."""
        found: list[float] = json.loads(self._ask("report"))
        return found

    def _ask(self, word: str) -> str:
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("the crowd does not run")
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        if self._process is None or self._process.stdout is None:
            raise RuntimeError("the crowd does not run")
        return self._process.stdout.readline().strip()


class _Watchers:
    def __init__(self, address: str, orchestration_id: str, count: int) -> None:
        self.latencies: list[float] = []
        self._address = address
        request = run_service_pb2.WatchOrchestrationRequest(orchestration_id=orchestration_id)
        self._request = request.SerializeToString()
        self._count = count
        self._open = 0
        self._all_open = asyncio.Event()
        self._seen: dict[bytes, tuple[float, ...]] = {}
        self._kept: list[object] = []

    async def start(self) -> None:
        for start in range(0, self._count, _PER_CHANNEL):
            channel = open_channel(self._address)
            self._kept.append(channel)
            for _ in range(min(_PER_CHANNEL, self._count - start)):
                self._kept.append(asyncio.create_task(self._watch(channel)))
        await asyncio.wait_for(self._all_open.wait(), _OPEN_SECONDS)

    async def add_stuck(self) -> None:
        # The smallest window there is: the server's writes come to a halt at once.
        options = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.http2.lookahead_bytes", 65_536),
            ("grpc.http2.bdp_probe", 0),
        ]
        channel = grpc.aio.insecure_channel(self._address, options=options)
        stream = channel.unary_stream(_METHOD, None, None)(self._request)
        self._kept += [channel, stream]
        await stream.read()

    async def _watch(self, channel: grpc.aio.Channel) -> None:
        stream = channel.unary_stream(_METHOD, None, None)(self._request)
        await stream.read()
        self._open += 1
        if self._open == self._count:
            self._all_open.set()
        while isinstance(page := await stream.read(), bytes):
            now = time.time()
            self.latencies += [now - moment for moment in self._moments(page)]

    def _moments(self, page: bytes) -> tuple[float, ...]:
        if page not in self._seen:
            message = run_service_pb2.WatchOrchestrationResponse.FromString(page)
            self._seen[page] = tuple(
                event.occurred_at.ToNanoseconds() / 1e9 for event in message.events.events
            )
        return self._seen[page]


async def _serve(address: str, orchestration_id: str, count: int) -> None:
    watchers = _Watchers(address, orchestration_id, count)
    await watchers.start()
    _say("open")
    while word := (await asyncio.to_thread(sys.stdin.readline)).strip():
        match word:
            case "stuck":
                await watchers.add_stuck()
                _say("ok")
            case "clear":
                watchers.latencies.clear()
                _say("ok")
            case _:
                _say(json.dumps([round(each, 5) for each in watchers.latencies]))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))

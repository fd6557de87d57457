"""Processor time and memory of the services, and of what works for them in Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import asyncpg
import psutil

from benchmarks.stack import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What was used up to a moment; processor time in seconds, memory (resident) in MiB by service."""

    processor_seconds: float
    memory: dict[str, float]


class Meter:
    """Reads what a stack's processes use: store, coordinator, workers, their children, Postgres' backends.

    RabbitMQ is left out: it is one process for everybody who uses it.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._seen: dict[int, float] = {}

    def read(self) -> Usage:
        """Reads now. Backends that have ended meanwhile count with what was seen of them last."""
        own = {each.name: psutil.Process(each.pid) for each in self._stack.cluster.processes}
        children = [child for each in own.values() for child in each.children(recursive=True)]
        backends = asyncio.run(_backends(self._stack.cluster.postgres_dsn))
        for process in (*own.values(), *children, *_processes(backends)):
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            self._seen[process.pid] = times.user + times.system
        return Usage(
            processor_seconds=sum(self._seen.values()),
            memory={name: each.memory_info().rss / 2**20 for name, each in own.items()},
        )


def _processes(pids: Iterable[int]) -> list[psutil.Process]:
    # A Postgres on another machine has other processes' ids: its share is not known then.
    found = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            if "postgres" in process.name():
                found.append(process)
        except psutil.Error:
            continue
    return found


async def _backends(dsn: str) -> list[int]:
    connection = await asyncpg.connect(dsn, timeout=30)
    try:
        rows = await connection.fetch(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()
    return [row["pid"] for row in rows]

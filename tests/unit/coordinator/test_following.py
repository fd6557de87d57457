"""Following event logs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from services.coordinator.service.following import Followers
from services.core.errors import CursorOutOfRange, Exhausted, Unavailable
from services.core.event import Event
from tests.unit.coordinator.memory_log import MemoryLog


class BreakingLog(MemoryLog):
    """Breaks every stream after one page; counts the streams that were opened."""

    def __init__(self) -> None:
        super().__init__("o")
        self.opened = 0

    async def watch(
        self, orchestration_id: str, *, after_sequence: int
    ) -> AsyncIterator[Sequence[Event]]:
        self.opened += 1
        async for page in super().watch(orchestration_id, after_sequence=after_sequence):
            yield page[:1]
            raise Unavailable("gone")


class ExpiredLog(MemoryLog):
    async def watch(
        self, orchestration_id: str, *, after_sequence: int
    ) -> AsyncIterator[Sequence[Event]]:
        async for _ in super().watch(orchestration_id, after_sequence=after_sequence):
            raise CursorOutOfRange("too old", reason="CURSOR_EXPIRED")
        yield ()


async def collect(log: MemoryLog, count: int, after: int) -> list[int]:
    seen: list[int] = []
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        followers = Followers(log, tasks)  # type: ignore[arg-type]  # only the watch is used
        async with followers.follow("o", after_sequence=after) as subscription:
            while len(seen) < count:
                seen.extend(event.sequence for event in await subscription.next(1.0))
    return seen


async def test_a_subscription_has_every_event_once_in_order() -> None:
    log = MemoryLog("o")
    log.append(*[log.notice(str(n)) for n in range(10)])
    assert await collect(log, 7, after=3) == [4, 5, 6, 7, 8, 9, 10]


class FullLog(MemoryLog):
    """Refuses the first watches for a reason of the store's own."""

    def __init__(self) -> None:
        super().__init__("o")
        self.refusals = 2

    async def watch(
        self, orchestration_id: str, *, after_sequence: int
    ) -> AsyncIterator[Sequence[Event]]:
        if self.refusals:
            self.refusals -= 1
            raise Exhausted("too many watches", reason="TOO_MANY_WATCHES")
        async for page in super().watch(orchestration_id, after_sequence=after_sequence):
            yield page


async def test_a_refused_watch_is_tried_again_and_ends_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.coordinator.service.following._RETRY_SECONDS", 0.0)
    log = FullLog()
    log.append(*[log.notice(str(n)) for n in range(3)])
    assert await collect(log, 3, after=0) == [1, 2, 3]


async def test_a_broken_stream_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.coordinator.service.following._RETRY_SECONDS", 0.0)
    log = BreakingLog()
    log.append(*[log.notice(str(n)) for n in range(4)])
    assert await collect(log, 4, after=0) == [1, 2, 3, 4]
    assert log.opened >= 4


async def test_subscribers_of_one_orchestration_share_a_watch() -> None:
    log = MemoryLog("o")
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        followers = Followers(log, tasks)  # type: ignore[arg-type]  # only the watch is used
        async with (
            followers.follow("o", after_sequence=0) as first,
            followers.follow("o", after_sequence=0) as second,
        ):
            await asyncio.sleep(0)
            log.append(log.notice("a"))
            assert [event.sequence for event in await first.next(5)] == [1]
            assert [event.sequence for event in await second.next(5)] == [1]
            assert log.watches == 1


async def test_a_log_that_cannot_be_followed_says_so() -> None:
    with pytest.raises(BaseExceptionGroup) as failure:
        log = ExpiredLog("o")
        log.append(log.notice("a"))
        await collect(log, 1, after=0)
    assert failure.group_contains(CursorOutOfRange)

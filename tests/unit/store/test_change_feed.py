"""The change feed: every event once and in order through reopening, races and a full memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial

import pytest

from services.core.errors import Conflict, CursorOutOfRange, Unavailable
from services.store.adapters.change_feed import PollingFeed
from services.store.adapters.event_rings import Rings, Topic
from services.store.adapters.page_reads import PageReads
from services.store.adapters.turns import Turns
from services.store.ports.results import (
    LogPosition,
)
from services.store.service.watch import Bookmark, Part
from tests.unit.store.waiting import until
from tests.unit.store.watching import NOW, Log, MemoryReader, Store, running


def _all_have(seen: Sequence[Sequence[int]], count: int) -> bool:
    return all(len(each) == count for each in seen)


async def test_a_watcher_at_the_end_of_an_ended_log_ends_and_after_reopening_goes_on() -> None:
    reader = MemoryReader()
    identifier, log = reader.log()
    log.append(3, ended=True)
    async with running(reader) as store:
        assert await store.watch(identifier, 3) == []
        log.append(2)  # reopened through another replica
        seen: list[int] = []
        watching = asyncio.create_task(store.watch(identifier, 3, seen))
        await until(lambda: seen == [4, 5])
        log.append(1, ended=True)
        assert await watching == [4, 5, 6]


async def test_one_who_knows_of_the_reopening_is_believed_before_the_poller_looks() -> None:
    reader = MemoryReader()
    identifier, log = reader.log()
    log.append(3, ended=True)
    feed = PollingFeed(reader, poll_seconds=60)
    store = Store(reader, feed, 60)
    # No poller runs: what the feed knows is what watchers brought along.
    with feed.following(identifier, epoch="a", position=log.position, observed_at=NOW) as old:
        assert old.has_ended(at=3)
        log.append(1)
        watching = asyncio.create_task(store.watch(identifier, 3))
        await until(lambda: not old.has_ended(at=3))
        log.append(1, ended=True)
        polling = asyncio.create_task(feed.run())
        assert await watching == [4, 5]
        polling.cancel()


async def test_events_on_their_way_to_all_are_read_by_nobody_else() -> None:
    reader = MemoryReader()
    identifier, log = reader.log()
    async with running(reader) as store:
        seen: list[list[int]] = [[] for _ in range(50)]
        watching = [asyncio.create_task(store.watch(identifier, 0, each)) for each in seen]
        for count in range(1, 6):
            log.append(1, ended=count == 5)
            store.feed.committed(identifier)
            await until(partial(_all_have, seen, count))
        await asyncio.gather(*watching)
        assert seen == [[1, 2, 3, 4, 5]] * 50
        assert reader.reads == 5


async def test_the_final_event_reaches_whoever_arrives_while_it_is_written() -> None:
    for turns in range(30):
        reader = MemoryReader()
        identifier, log = reader.log()
        log.append(2)
        async with running(reader) as store:
            watching = asyncio.create_task(store.watch(identifier, 0))
            for _ in range(turns):
                await asyncio.sleep(0)
            log.append(1, ended=True)
            store.feed.committed(identifier)
            assert await watching == [1, 2, 3]


async def test_answers_that_overtake_one_another_lose_nothing() -> None:
    reader = MemoryReader()
    identifier, log = reader.log()
    log.append(2)
    async with running(reader) as store:
        seen: list[int] = []
        watching = asyncio.create_task(store.watch(identifier, 0, seen))
        await until(lambda: seen == [1, 2])
        # The poller's answer is on its way while the log grows and another watcher reads it.
        reader.gate = asyncio.Event()
        await until(lambda: reader.held > 0)
        log.append(3)
        gate, reader.gate = reader.gate, None
        other = asyncio.create_task(store.watch(identifier, 2))
        await asyncio.sleep(0)
        gate.set()
        await until(lambda: seen == [1, 2, 3, 4, 5])
        assert reader.renewed == []
        log.append(1, ended=True)
        assert await watching == [1, 2, 3, 4, 5, 6]
        assert await other == [3, 4, 5, 6]


async def test_a_log_that_became_shorter_ends_its_watches_and_begins_an_epoch() -> None:
    reader = MemoryReader()
    identifier, log = reader.log()
    log.append(5)
    async with running(reader) as store:
        seen: list[int] = []
        watching = asyncio.create_task(store.watch(identifier, 0, seen))
        await until(lambda: len(seen) == 5)
        reader.logs[identifier] = Log()
        reader.logs[identifier].append(3)
        with pytest.raises(Conflict) as caught:
            await watching
        assert caught.value.reason == "EPOCH_CHANGED"
        assert caught.value.metadata["last_sequence"] == "5"
        assert reader.renewed == ["a"]


async def test_no_event_of_another_epoch_reaches_a_watcher() -> None:
    reader = MemoryReader()
    identifier, log = reader.log()
    log.append(400, size=2_000)
    for turns in range(0, 40, 3):
        reader.epoch = "a"
        async with running(reader) as store:
            seen: list[int] = []
            watching = asyncio.create_task(store.watch(identifier, 0, seen, "a"))
            for _ in range(turns):
                await asyncio.sleep(0)
            behind = len(seen)
            reader.epoch = "b"
            with pytest.raises(Conflict):
                await watching
            # One page may have been read before.
            assert len(seen) <= behind + 132


async def test_a_restore_between_looking_and_reading_reaches_nobody() -> None:
    reader = MemoryReader()
    identifier, log = reader.log()
    log.append(2)
    async with running(reader) as store:
        seen: list[int] = []
        watching = asyncio.create_task(store.watch(identifier, 0, seen))
        await until(lambda: seen == [1, 2])
        log.append(1)
        reader.gate = asyncio.Event()
        looking = asyncio.create_task(reader.positions([identifier]))
        await until(lambda: reader.held >= 2)
        # The poller has heard of event 3 of the old log; what it reads now is the new one's.
        reader.epoch = "b"
        gate, reader.gate = reader.gate, None
        gate.set()
        with pytest.raises(Conflict):
            await watching
        assert seen == [1, 2]
        assert (await looking).epoch == "a"


def test_an_answer_that_comes_late_takes_nothing_back() -> None:
    topic = Topic("a", LogPosition(first_sequence=1, last_sequence=3, ended=True), Turns())
    reopened = LogPosition(first_sequence=1, last_sequence=5, ended=False)
    assert topic.note(reopened)
    # Asked before the reopening, answered after it: the log has not ended.
    assert not topic.note(LogPosition(first_sequence=1, last_sequence=3, ended=True))
    assert topic.position == reopened


async def test_events_removed_under_a_watcher_are_told_and_missing_ones_counted() -> None:
    reader = MemoryReader()
    identifier, log = reader.log()
    log.append(10, ended=True)
    del log.events[:4]
    log.first = 5
    async with running(reader) as store:
        with pytest.raises(CursorOutOfRange) as caught:
            await store.watch(identifier, 3)
        assert caught.value.reason == "CURSOR_EXPIRED"
        assert await store.watch(identifier, 4) == [5, 6, 7, 8, 9, 10]
        assert store.gaps.found == 0
        # An event that lacks in the middle, in a log nobody has read yet, is a bug and nothing else.
        other, hurt = reader.log()
        hurt.append(6, ended=True)
        del hurt.events[2]
        seen: list[int] = []
        with pytest.raises(RuntimeError, match="gap after event 2"):
            await store.watch(other, 2, seen)
        assert (seen, store.gaps.found) == ([], 1)


async def test_a_quiet_watch_costs_the_database_nothing_beside_the_poll() -> None:
    reader = MemoryReader()
    identifier, log = reader.log()
    log.append(1)
    async with running(reader, bookmark_seconds=0.01) as store:
        parts = store.watching.watch(identifier, after_sequence=1)
        bookmarks: list[Part] = []
        async with aclosing(parts), asyncio.timeout(60):
            async for part in parts:
                bookmarks.append(part)
                if len(bookmarks) == 5:
                    break
        assert {type(each) for each in bookmarks} == {Bookmark}
        assert reader.reads == 0


async def test_a_database_that_is_away_only_makes_watchers_at_the_end_wait() -> None:
    reader = MemoryReader()
    identifier, log = reader.log()
    log.append(1)
    async with running(reader) as store:
        seen: list[int] = []
        watching = asyncio.create_task(store.watch(identifier, 0, seen))
        await until(lambda: seen == [1])
        reader.away = True
        log.append(1)
        with pytest.raises(Unavailable):
            await store.watch(identifier, 0)
        reader.away = False
        log.append(1, ended=True)
        assert await watching == [1, 2, 3]


async def test_a_page_is_read_once_for_all_who_are_behind_by_the_same() -> None:
    reader = MemoryReader()
    identifier, log = reader.log()
    log.append(5_000, ended=True)
    async with running(reader) as store:
        logs = await asyncio.gather(*(store.watch(identifier, 0) for _ in range(50)))
        assert all(each == list(range(1, 5_001)) for each in logs)
        assert reader.reads == 10


async def test_one_who_goes_away_does_not_take_a_shared_read_along() -> None:
    reader = MemoryReader()
    identifier, log = reader.log()
    log.append(3)
    reads = PageReads(reader)
    first, second = (
        asyncio.create_task(reads.read(identifier, epoch="a", after=0)) for _ in range(2)
    )
    await asyncio.sleep(0)
    first.cancel()
    assert [each.sequence for each in (await second).events] == [1, 2, 3]
    assert first.cancelled()


async def test_ten_thousand_logs_share_one_bound_of_memory() -> None:
    reader = MemoryReader()
    rings = Rings(max_bytes=1_000_000)
    identifiers = []
    for _ in range(10_000):
        identifier, log = reader.log()
        log.append(1)
        identifiers.append(identifier)
    feed = PollingFeed(reader, poll_seconds=0.01, rings=rings)
    followers = [
        feed.following(each, epoch="a", position=reader.logs[each].position, observed_at=NOW)
        for each in identifiers
    ]
    polling = asyncio.create_task(feed.run())
    for follower in followers:
        follower.__enter__()
    for each in identifiers:
        reader.logs[each].append(3, size=100, ended=True)
    async with asyncio.timeout(600):
        pages = await asyncio.gather(*(each.next_page(after=1, seconds=500) for each in followers))
    assert {tuple(event.sequence for event in page) for page in pages} <= {(2, 3, 4)}
    assert 0 < rings.bytes <= 1_000_000
    for follower in followers:
        follower.__exit__(None, None, None)
    polling.cancel()
    assert rings.bytes == 0
    assert not feed.watched

"""Dispatching: what is queued reaches the queues, and what the broker lost reaches them again."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from services.coordinator.service.bell import Bell
from services.coordinator.service.capacity import Capacity
from services.coordinator.service.dispatching import Dispatching
from services.core.errors import Unavailable
from tests.unit.coordinator.memory_dispatch import MemoryDispatchStore, MemoryTrialDispatcher


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    def __init__(self) -> None:
        self.store = MemoryDispatchStore()
        self.broker = MemoryTrialDispatcher()
        self.clock = Clock()
        self.capacity = Capacity()
        self.dispatching = Dispatching(
            store=self.store,
            dispatcher=self.broker,
            coordinator_id="c",
            capacity=self.capacity,
            bell=Bell(),
            clock=self.clock,
        )


async def test_everything_queued_is_published_and_the_slots_are_heard() -> None:
    bench = Bench()
    bench.store.queued = [0, 1, 2, 3, 4]
    await bench.dispatching.step()
    assert bench.broker.published == [0, 1, 2, 3, 4]
    assert bench.capacity.slots("default") == 2


async def test_what_was_not_confirmed_is_recalled_and_published_later() -> None:
    bench = Bench()
    bench.store.queued = [0, 1]
    bench.broker.refuse = 1
    await bench.dispatching.step()
    assert bench.broker.published == [1]
    assert bench.store.queued == [0]
    await bench.dispatching.step()
    assert bench.broker.published == [1, 0]


async def test_with_the_broker_away_nothing_stays_marked_as_dispatched() -> None:
    bench = Bench()
    bench.store.queued = [0, 1, 2]
    bench.broker.down = True
    with pytest.raises(Unavailable):
        await bench.dispatching.step()
    assert bench.store.dispatched == []
    assert sorted(bench.store.queued) == [0, 1, 2]


async def test_a_new_connection_recalls_everything() -> None:
    bench = Bench()
    bench.store.queued = [0, 1]
    await bench.dispatching.step()
    bench.broker.listeners[0]()
    await bench.dispatching.step()
    assert bench.broker.published == [0, 1, 0, 1]


async def test_a_queue_that_stays_empty_while_trials_are_out_is_filled_again() -> None:
    bench = Bench()
    bench.store.queued = [0, 1]
    await bench.dispatching.step()
    bench.broker.published.clear()
    for seconds in (6.0, 11.0):
        bench.clock.now = seconds
        await bench.dispatching.step()
    assert bench.store.recalls == []
    bench.clock.now = 17.0
    await bench.dispatching.step()
    await bench.dispatching.step()
    assert bench.store.recalls == [2]
    assert bench.broker.published == [0, 1]


async def test_a_lost_hand_out_is_recalled() -> None:
    bench = Bench()
    bench.store.queued = [0, 1, 2]
    await bench.dispatching.step()
    bench.store.down = True
    with pytest.raises(Unavailable):
        await bench.dispatching.step()
    bench.store.down = False
    await bench.dispatching.step()
    assert bench.store.recalls == [3]


async def test_a_class_whose_queue_is_stuck_does_not_hold_up_the_others() -> None:
    bench = Bench()
    bench.store.classes = {0: "gpu", 2: "gpu"}
    release = bench.broker.stuck["gpu"] = asyncio.Event()
    bench.store.queued = [0, 1, 2, 3]
    await bench.dispatching.step()
    assert bench.broker.published == [1, 3]
    assert bench.store.dispatched == [0, 1, 2, 3]
    release.set()
    async with asyncio.timeout(60):
        while bench.store.dispatched != [1, 3]:  # noqa: ASYNC110 (the tasks are the dispatcher's own)
            await asyncio.sleep(0)
    del bench.broker.stuck["gpu"]
    await bench.dispatching.step()
    assert sorted(bench.broker.published) == [0, 1, 2, 3]


async def test_only_the_class_whose_queue_is_empty_is_filled_again() -> None:
    bench = Bench()
    bench.store.classes = {1: "gpu"}
    bench.store.queued = [0, 1]
    await bench.dispatching.step()
    bench.broker.published.remove(1)
    for seconds in (6.0, 17.0, 18.0):
        bench.clock.now = seconds
        await bench.dispatching.step()
    assert bench.store.recalls == [1]
    assert bench.broker.published == [0, 1]


async def test_a_queue_that_cannot_be_counted_hides_no_other() -> None:
    bench = Bench()
    bench.store.classes = {0: "alpha"}
    bench.store.queued = [0, 1]
    await bench.dispatching.step()
    bench.broker.published.clear()
    bench.broker.stuck["alpha"] = asyncio.Event()
    for seconds in (6.0, 17.0, 18.0):
        bench.clock.now = seconds
        await bench.dispatching.step()
    assert bench.broker.published == [1]


async def test_a_class_that_no_queue_can_be_named_after_holds_up_no_other() -> None:
    bench = Bench()
    bench.store.classes = {0: "gpu a100"}
    bench.store.queued = [0, 1]
    with structlog.testing.capture_logs() as lines:
        await bench.dispatching.step()
    assert bench.broker.published == [1]
    assert [each.worker_class for each in bench.capacity.classes] == ["default"]
    assert "'gpu a100': use 1 to 64" in str(lines)
    for seconds in (6.0, 17.0, 18.0):
        bench.clock.now = seconds
        await bench.dispatching.step()
    # Taking its trials back would only hand them out again, for ever.
    assert bench.store.recalls == []


async def test_what_is_being_published_when_dispatching_stops_is_recalled() -> None:
    bench = Bench()
    bench.broker.stuck["default"] = asyncio.Event()
    bench.store.queued = [0]
    running = asyncio.create_task(bench.dispatching.run())
    async with asyncio.timeout(60):
        while not bench.store.dispatched:  # noqa: ASYNC110 (only looking tells)
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert bench.store.dispatched == []
    assert bench.store.queued == [0]

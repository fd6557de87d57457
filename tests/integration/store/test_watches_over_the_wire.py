"""Watches over real gRPC: cursors, admission, epochs, clients that do not read."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo

from services.common.rpc.client import open_channel
from services.common.rpc.stream_writes import SLOW_CONSUMERS
from services.coordinator.adapters.store_client import StoreClient
from services.core.errors import CursorOutOfRange, Exhausted
from services.store.adapters.postgres.database import Database
from services.store.adapters.postgres.reader import PostgresReader
from services.store.app import RunningStore, running_store
from services.store.service.plans import Change
from services.store.settings import StoreSettings
from tests.integration.store.scenario import Scenario, until
from tests.integration.store.wire_watches import (
    SMALL_WINDOW,
    events_of,
    few_watches,
    refusal_of,
    request_for,
    runs_at,
)
from tuning.v1 import event_pb2

_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # missing in the stubs
_WATCH = "/tuning.v1.RunService/WatchOrchestration"


async def _log(scenario: Scenario, events: int, padding: int = 10) -> str:
    """A log of an orchestration that ended, each event with so many bytes."""
    identifier = (await scenario.start()).orchestration_id
    await scenario.cases.plans.change(identifier, Change.CANCEL)
    payload = event_pb2.Event(notice=event_pb2.Notice(reason="X", message="x" * padding))
    async with scenario.database.writing() as connection:
        await connection.execute(
            "DELETE FROM crescendo.events WHERE orchestration_id = $1", identifier
        )
        await connection.execute(
            "INSERT INTO crescendo.events (orchestration_id, sequence, occurred_at, payload_proto)"
            " SELECT $1, n, now(), $2 FROM generate_series(1, $3::bigint) AS n",
            identifier,
            payload.SerializeToString(),
            events,
        )
        await connection.execute(
            "UPDATE crescendo.orchestrations SET last_sequence = $2 WHERE orchestration_id = $1",
            identifier,
            events,
        )
    return identifier


def _slow_consumers() -> float:
    return float(SLOW_CONSUMERS.labels(rpc=_WATCH)._value.get())


async def _given_up(count: float) -> bool:
    return _slow_consumers() >= count


async def test_resuming_at_every_sequence_gives_exactly_the_rest(
    store: RunningStore, scenario: Scenario
) -> None:
    identifier = await _log(scenario, 40)
    async with scenario.database.writing() as connection:
        await connection.execute(
            "UPDATE crescendo.orchestrations SET first_sequence = 11 WHERE orchestration_id = $1",
            identifier,
        )
        await connection.execute(
            "DELETE FROM crescendo.events WHERE orchestration_id = $1 AND sequence < 11", identifier
        )
    async with runs_at(store.address) as runs:
        for cursor in range(10, 41):
            events = await events_of(runs.WatchOrchestration(request_for(identifier, cursor)))
            assert [each.sequence for each in events] == list(range(cursor + 1, 41))
        for cursor, reason in ((0, "CURSOR_EXPIRED"), (9, "CURSOR_EXPIRED"), (41, "CURSOR_AHEAD")):
            error, _ = await refusal_of(
                events_of(runs.WatchOrchestration(request_for(identifier, cursor)))
            )
            assert (type(error), error.reason) == (CursorOutOfRange, reason)
            assert error.metadata == {"first_sequence": "11", "last_sequence": "40"}
            assert "watch without after_sequence" in error.message


async def test_a_full_store_says_when_to_come_again_and_admits_coordinators(
    settings: StoreSettings, scenario: Scenario
) -> None:
    orchestration = await scenario.start()
    identifier, last = orchestration.orchestration_id, orchestration.last_sequence
    small = replace(settings, max_watches=2, bookmark_seconds=0.1)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(running_store(small))
        runs = await stack.enter_async_context(runs_at(store.address))
        watches = [runs.WatchOrchestration(request_for(identifier)) for _ in range(2)]
        for each in watches:
            await each.read()
        error, status = await refusal_of(
            runs.WatchOrchestration(request_for(identifier, last)).read()
        )
        assert (type(error), error.reason) == (Exhausted, "TOO_MANY_WATCHES")
        assert error.metadata == {"limit": "2", "last_sequence": str(last)}
        delays = [info for info in map(_retry_info, status.details) if info is not None]
        assert [each.retry_delay.seconds for each in delays] == [5]
        # Coordinators have places of their own.
        public = await stack.enter_async_context(open_channel(store.address))
        internal = await stack.enter_async_context(open_channel(store.internal_address))
        client = StoreClient(public=public, internal=internal)
        pages = client.watch(identifier, after_sequence=0)
        async with asyncio.timeout(60):
            assert [each.sequence for each in await anext(aiter(pages))] == list(range(1, last + 1))
        # A watch that went away leaves its place.
        watches[0].cancel()
        await until(lambda: few_watches(1))
        again = runs.WatchOrchestration(request_for(identifier))
        assert (await again.read()).events.events
        again.cancel()


def _retry_info(detail: Any) -> RetryInfo | None:
    info = RetryInfo()
    return info if detail.Unpack(info) else None


async def test_a_coordinators_watch_ends_with_its_epoch(
    settings: StoreSettings, scenario: Scenario, database: Database
) -> None:
    orchestration = await scenario.start()
    identifier, last = orchestration.orchestration_id, orchestration.last_sequence
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(running_store(settings))
        public = await stack.enter_async_context(open_channel(store.address))
        internal = await stack.enter_async_context(open_channel(store.internal_address))
        client = StoreClient(public=public, internal=internal)
        pages = aiter(client.watch(identifier, after_sequence=0))
        async with asyncio.timeout(60):
            await anext(pages)
            await PostgresReader(database).begin_new_epoch(None)
            with pytest.raises(CursorOutOfRange) as caught:
                await anext(pages)
            assert caught.value.reason == "EPOCH_CHANGED"
            # A watch that is cut instead, and taken up again after the restore, hears of it too.
            cut = aiter(client.watch(identifier, after_sequence=0))
            await anext(cut)
            await cut.aclose()  # type: ignore[attr-defined]  # the port says less than there is
            await PostgresReader(database).begin_new_epoch(None)
            with pytest.raises(CursorOutOfRange):
                await anext(aiter(client.watch(identifier, after_sequence=last)))


async def test_a_watcher_that_does_not_read_is_ended_and_can_resume(
    settings: StoreSettings, scenario: Scenario
) -> None:
    identifier = await _log(scenario, 3_000, padding=1_000)
    strict = replace(settings, stream_write_seconds=0.5)
    before = _slow_consumers()
    async with (
        running_store(strict) as store,
        # Those who read may be held up on a busy machine: they do so where nobody minds.
        running_store(settings) as patient,
        runs_at(store.address, SMALL_WINDOW) as runs,
        runs_at(patient.address) as others,
    ):
        stuck = runs.WatchOrchestration(request_for(identifier))
        assert len(await events_of(others.WatchOrchestration(request_for(identifier)))) == 3_000
        # It keeps its place until it reads on or goes: what waits for it is not forgotten.
        await until(lambda: few_watches(1))
        seen: list[int] = []

        async def read_on() -> None:
            while (part := await stuck.read()) is not _EOF:
                seen.extend(each.sequence for each in part.events.events)

        await until(lambda: _given_up(before + 1))
        error, _ = await refusal_of(read_on())
        assert (type(error), error.reason) == (Exhausted, "SLOW_CONSUMER")
        # What waited arrived in the end, and the error counts it: nothing comes twice to who resumes there.
        last = int(error.metadata["last_sequence"])
        assert seen == list(range(1, last + 1))
        rest = await events_of(others.WatchOrchestration(request_for(identifier, last)))
        assert [*seen, *(each.sequence for each in rest)] == list(range(1, 3_001))
        await until(lambda: few_watches(0))


async def test_a_watcher_that_is_gone_for_good_leaves_nothing_behind(
    settings: StoreSettings, scenario: Scenario, caplog: pytest.LogCaptureFixture
) -> None:
    identifier = await _log(scenario, 3_000, padding=1_000)
    strict = replace(settings, stream_write_seconds=0.2)
    async with running_store(strict) as store:
        for given_up in (False, True):
            before = _slow_consumers()
            async with runs_at(store.address, SMALL_WINDOW) as runs:
                stuck = runs.WatchOrchestration(request_for(identifier))
                await stuck.read()
                if given_up:
                    await until(partial(_given_up, before + 1))
            await until(lambda: few_watches(0))
    assert not [each for each in caplog.records if each.exc_info], caplog.text

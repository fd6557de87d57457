"""Watches over real gRPC: admission, clients that do not read, drains, a thousand at once."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from services.common.rpc.client import open_channel
from services.common.rpc.status import DETAILS_KEY, from_rpc_error
from services.common.rpc.stream_writes import SLOW_CONSUMERS
from services.coordinator.adapters.store_client import StoreClient
from services.core.errors import CrescendoError, CursorOutOfRange, Exhausted, Unavailable
from services.store.adapters.grpc_servicer.run_service import WATCHES
from services.store.adapters.postgres.database import Database
from services.store.adapters.postgres.reader import PostgresReader
from services.store.app import RunningStore, running_store
from services.store.service.plans import Change
from services.store.settings import StoreSettings
from testbed.addresses import lasting_ports
from tests.integration.store.scenario import Scenario, success, until
from tuning.v1 import event_pb2, run_service_pb2, run_service_pb2_grpc

_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # missing in the stubs
_WATCH = "/tuning.v1.RunService/WatchOrchestration"
# Without these a client takes in megabytes before its window is full.
_SMALL_WINDOW = [
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 65_536),
    ("grpc.use_local_subchannel_pool", 1),
]


@asynccontextmanager
async def _runs(address: str, options: Any = None) -> AsyncIterator[Any]:
    channel = (
        open_channel(address)
        if options is None
        else grpc.aio.insecure_channel(address, options=options)
    )
    async with channel:
        yield run_service_pb2_grpc.RunServiceStub(channel)


async def _answered(call: Callable[[], Awaitable[object]]) -> None:
    """Calls until there is an answer, as workers do: twenty that want one row may wait too long for it."""
    while True:
        with suppress(Unavailable):
            await call()
            return


def _request(identifier: str, after: int | None = 0, epoch: str | None = None) -> Any:
    return run_service_pb2.WatchOrchestrationRequest(
        orchestration_id=identifier, after_sequence=after, epoch=epoch
    )


async def _events(call: Any) -> list[event_pb2.Event]:
    return [event async for part in call if part.HasField("events") for event in part.events.events]


async def _error(awaitable: Awaitable[Any]) -> tuple[CrescendoError, Status]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(60):
            await awaitable
    metadata: Any = caught.value.trailing_metadata()
    return from_rpc_error(caught.value), Status.FromString(dict(metadata)[DETAILS_KEY])


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


def _open_watches(who: str) -> float:
    return float(WATCHES.labels(who=who)._value.get())


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
    async with _runs(store.address) as runs:
        for cursor in range(10, 41):
            events = await _events(runs.WatchOrchestration(_request(identifier, cursor)))
            assert [each.sequence for each in events] == list(range(cursor + 1, 41))
        for cursor, reason in ((0, "CURSOR_EXPIRED"), (9, "CURSOR_EXPIRED"), (41, "CURSOR_AHEAD")):
            error, _ = await _error(_events(runs.WatchOrchestration(_request(identifier, cursor))))
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
        runs = await stack.enter_async_context(_runs(store.address))
        watches = [runs.WatchOrchestration(_request(identifier)) for _ in range(2)]
        for each in watches:
            await each.read()
        error, status = await _error(runs.WatchOrchestration(_request(identifier, last)).read())
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
        await until(lambda: _few_watches(1))
        again = runs.WatchOrchestration(_request(identifier))
        assert (await again.read()).events.events
        again.cancel()


def _retry_info(detail: Any) -> RetryInfo | None:
    info = RetryInfo()
    return info if detail.Unpack(info) else None


async def _few_watches(count: int) -> bool:
    return _open_watches("clients") <= count


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
            await cut.aclose()  # type: ignore[attr-defined]
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
        _runs(store.address, _SMALL_WINDOW) as runs,
        _runs(patient.address) as others,
    ):
        stuck = runs.WatchOrchestration(_request(identifier))
        assert len(await _events(others.WatchOrchestration(_request(identifier)))) == 3_000
        # It keeps its place until it reads on or goes: what waits for it is not forgotten.
        await until(lambda: _few_watches(1))
        seen: list[int] = []

        async def read_on() -> None:
            while (part := await stuck.read()) is not _EOF:
                seen.extend(each.sequence for each in part.events.events)

        await until(lambda: _given_up(before + 1))
        error, _ = await _error(read_on())
        assert (type(error), error.reason) == (Exhausted, "SLOW_CONSUMER")
        # What waited arrived in the end, and the error counts it: nothing comes twice to who resumes there.
        last = int(error.metadata["last_sequence"])
        assert seen == list(range(1, last + 1))
        rest = await _events(others.WatchOrchestration(_request(identifier, last)))
        assert [*seen, *(each.sequence for each in rest)] == list(range(1, 3_001))
        await until(lambda: _few_watches(0))


async def test_a_watcher_that_is_gone_for_good_leaves_nothing_behind(
    settings: StoreSettings, scenario: Scenario, caplog: pytest.LogCaptureFixture
) -> None:
    identifier = await _log(scenario, 3_000, padding=1_000)
    strict = replace(settings, stream_write_seconds=0.2)
    async with running_store(strict) as store:
        for given_up in (False, True):
            before = _slow_consumers()
            async with _runs(store.address, _SMALL_WINDOW) as runs:
                stuck = runs.WatchOrchestration(_request(identifier))
                await stuck.read()
                if given_up:
                    await until(lambda known=before: _given_up(known + 1))  # type: ignore[misc]
            await until(lambda: _few_watches(0))
    assert not [each for each in caplog.records if each.exc_info], caplog.text


async def test_a_thousand_watchers_see_everything_beside_a_frozen_one(
    settings: StoreSettings, scenario: Scenario
) -> None:
    orchestration = await scenario.start(planned=60)
    identifier = orchestration.orchestration_id
    run = orchestration.stages[0].tuning_runs[0]
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(running_store(settings))
        clients = [await stack.enter_async_context(_runs(store.address)) for _ in range(10)]
        frozen_runs = await stack.enter_async_context(_runs(store.address, _SMALL_WINDOW))
        frozen = frozen_runs.WatchOrchestration(_request(identifier))
        watching = [
            asyncio.create_task(
                _events(clients[place % 10].WatchOrchestration(_request(identifier, place % 3)))
            )
            for place in range(999)
        ]
        await until(lambda: _many_watches(1_000), seconds=120)
        session = await scenario.session(slots=20)
        for first in range(0, 60, 20):
            await scenario.queue(run.tuning_run_id, 20, first=first)
            await scenario.claim(session, run, range(first, first + 20))
            await scenario.finish(
                *(success(identifier, number) for number in range(first, first + 20))
            )
        last = (await scenario.close(orchestration, run)).last_sequence
        async with asyncio.timeout(150):
            logs = await asyncio.gather(*watching)
        for place, log in enumerate(logs):
            assert [each.sequence for each in log] == list(range(place % 3 + 1, last + 1))
            assert log == logs[0][place % 3 :]
        async with asyncio.timeout(60):
            assert await _events(frozen) == logs[0]


async def _many_watches(count: int) -> bool:
    return _open_watches("clients") >= count


async def test_watchers_of_a_store_that_drains_go_on_at_another(
    settings: StoreSettings, scenario: Scenario
) -> None:
    orchestration = await scenario.start()
    identifier = orchestration.orchestration_id
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(running_store(settings))
        seen: list[event_pb2.Event] = []
        async with running_store(settings) as draining:
            runs = await stack.enter_async_context(_runs(draining.address))
            watch = runs.WatchOrchestration(_request(identifier))
            first = await watch.read()
            seen += first.events.events
        error, _ = await _error(watch.read())
        assert error.reason == "DRAINING"
        assert error.metadata["last_sequence"] == str(seen[-1].sequence)
        runs = await stack.enter_async_context(_runs(other.address))
        rest = runs.WatchOrchestration(_request(identifier, seen[-1].sequence, first.events.epoch))
        await scenario.cases.plans.change(identifier, Change.CANCEL)
        async with asyncio.timeout(60):
            seen += await _events(rest)
        whole = await _events(runs.WatchOrchestration(_request(identifier)))
        assert seen == whole


async def test_many_writers_through_two_stores_make_one_gapless_log(
    settings: StoreSettings, scenario: Scenario
) -> None:
    orchestration = await scenario.start(planned=200)
    identifier = orchestration.orchestration_id
    run = orchestration.stages[0].tuning_runs[0]
    await scenario.queue(run.tuning_run_id, 200)
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(running_store(settings)) for _ in range(2)]
        clients = [await stack.enter_async_context(_runs(each.address)) for each in stores]
        watching = [
            asyncio.create_task(_events(runs.WatchOrchestration(_request(identifier))))
            for runs in clients * 10
        ]
        sessions = [await scenario.session(slots=10, name=f"w{place}") for place in range(20)]

        async def work(place: int) -> None:
            for number in range(place * 10, place * 10 + 10):
                claim = partial(
                    scenario.claim, sessions[place], run, [number], claim_id=str(uuid.uuid4())
                )
                await _answered(claim)
                await _answered(partial(scenario.finish, success(identifier, number)))

        async with asyncio.timeout(150):
            await asyncio.gather(*(work(place) for place in range(20)))
            last = (await scenario.close(orchestration, run)).last_sequence
            logs = await asyncio.gather(*watching)
        assert [each.sequence for each in logs[0]] == list(range(1, last + 1))
        assert all(each == logs[0] for each in logs)
    await scenario.check(identifier)


_RAW = Path(__file__).parent / "raw_watcher.py"


async def test_a_generated_client_resumes_by_the_protos_alone(
    settings: StoreSettings, scenario: Scenario, database: Database
) -> None:
    orchestration = await scenario.start(planned=30)
    identifier = orchestration.orchestration_id
    run = orchestration.stages[0].tuning_runs[0]
    public, internal = lasting_ports(2)
    fixed = replace(
        settings,
        store_listen=f"127.0.0.1:{public}",
        store_internal_listen=f"127.0.0.1:{internal}",
        drain_seconds=0.3,
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(_RAW),
        f"127.0.0.1:{public}",
        identifier,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        session = await scenario.session(slots=10)
        for first in range(0, 30, 10):
            # Each ten trials in a store of their own: between them it is gone for a moment.
            async with running_store(fixed):
                await until(lambda: _many_watches(1))
                await scenario.queue(run.tuning_run_id, 10, first=first)
                await scenario.claim(session, run, range(first, first + 10))
                await scenario.finish(
                    *(success(identifier, number) for number in range(first, first + 10))
                )
        async with running_store(fixed):
            await until(lambda: _many_watches(1))
            await PostgresReader(database).begin_new_epoch(None)
            last = (await scenario.close(orchestration, run)).last_sequence
            async with asyncio.timeout(60):
                told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = told.decode().split("\n")
    # Through every drain without a gap; after the restore from a snapshot; then the end.
    assert "restored: from a snapshot" in lines
    before = [
        int(each) for each in lines[: lines.index("restored: from a snapshot")] if each.isdigit()
    ]
    assert before == list(range(1, len(before) + 1))
    after = [
        int(each) for each in lines[lines.index("restored: from a snapshot") :] if each.isdigit()
    ]
    assert after == list(range(after[0], last + 1)) if after else True
    assert lines[-2] == f"ended at {last}"

"""Many watchers, many writers and stores that come and go: one log, seen whole by all."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from services.core.errors import Unavailable
from services.store.adapters.postgres.database import Database
from services.store.adapters.postgres.reader import PostgresReader
from services.store.app import running_store
from services.store.service.plans import Change
from services.store.settings import StoreSettings
from testbed.addresses import lasting_ports
from tests.integration.store.scenario import Scenario, success, until
from tests.integration.store.wire_watches import (
    SMALL_WINDOW,
    events_of,
    many_watches,
    refusal_of,
    request_for,
    runs_at,
)
from tuning.v1 import event_pb2


async def _answered(call: Callable[[], Awaitable[object]]) -> None:
    """Calls until there is an answer, as workers do: twenty that want one row may wait too long for it."""
    while True:
        with suppress(Unavailable):
            await call()
            return


async def test_a_thousand_watchers_see_everything_beside_a_frozen_one(
    settings: StoreSettings, scenario: Scenario
) -> None:
    orchestration = await scenario.start(planned=60)
    identifier = orchestration.orchestration_id
    run = orchestration.stages[0].tuning_runs[0]
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(running_store(settings))
        clients = [await stack.enter_async_context(runs_at(store.address)) for _ in range(10)]
        frozen_runs = await stack.enter_async_context(runs_at(store.address, SMALL_WINDOW))
        frozen = frozen_runs.WatchOrchestration(request_for(identifier))
        watching = [
            asyncio.create_task(
                events_of(
                    clients[place % 10].WatchOrchestration(request_for(identifier, place % 3))
                )
            )
            for place in range(999)
        ]
        await until(lambda: many_watches(1_000), seconds=120)
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
            assert await events_of(frozen) == logs[0]


async def test_watchers_of_a_store_that_drains_go_on_at_another(
    settings: StoreSettings, scenario: Scenario
) -> None:
    orchestration = await scenario.start()
    identifier = orchestration.orchestration_id
    async with AsyncExitStack() as stack:
        other = await stack.enter_async_context(running_store(settings))
        seen: list[event_pb2.Event] = []
        async with running_store(settings) as draining:
            runs = await stack.enter_async_context(runs_at(draining.address))
            watch = runs.WatchOrchestration(request_for(identifier))
            first = await watch.read()
            seen += first.events.events
        error, _ = await refusal_of(watch.read())
        assert error.reason == "DRAINING"
        assert error.metadata["last_sequence"] == str(seen[-1].sequence)
        runs = await stack.enter_async_context(runs_at(other.address))
        rest = runs.WatchOrchestration(
            request_for(identifier, seen[-1].sequence, first.events.epoch)
        )
        await scenario.cases.plans.change(identifier, Change.CANCEL)
        async with asyncio.timeout(60):
            seen += await events_of(rest)
        whole = await events_of(runs.WatchOrchestration(request_for(identifier)))
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
        clients = [await stack.enter_async_context(runs_at(each.address)) for each in stores]
        watching = [
            asyncio.create_task(events_of(runs.WatchOrchestration(request_for(identifier))))
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
                await until(lambda: many_watches(1))
                await scenario.queue(run.tuning_run_id, 10, first=first)
                await scenario.claim(session, run, range(first, first + 10))
                await scenario.finish(
                    *(success(identifier, number) for number in range(first, first + 10))
                )
        async with running_store(fixed):
            await until(lambda: many_watches(1))
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

"""Real workers on a real store: frozen past their lease, out of contact, and fed with nonsense."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.common.convert.values import assignment_to_proto
from services.common.messaging.memory import MemoryBroker
from services.common.messaging.rabbit import RabbitBroker
from services.common.messaging.topology import Topology
from services.core.event import FoldScored, TrialFinished
from services.core.run import Orchestration
from services.core.trial import TrialState
from services.store.adapters.postgres.database import Database
from services.store.app import RunningStore, running_store
from services.store.ports.records import NewTrial
from services.store.settings import StoreSettings
from services.worker.app import running_worker
from services.worker.settings import WorkerSettings
from testbed.addresses import lasting_ports
from testbed.processes import ServiceProcess, service_environment, start_process
from tests.integration.store.scenario import Scenario, until
from tests.support import hostility
from tuning.v1 import task_messages_pb2

SECONDS = 90.0
# Two folds, the second of which waits to be let go: one is reported long before the end.
LONG = hostility.trial("wait_for_the_gate")
QUICK = hostility.GOOD


@dataclass(kw_only=True)
class Bench:
    """One tuning run, and messages about its trials."""

    scenario: Scenario
    database: Database
    store: RunningStore
    folder: Path
    orchestration: Orchestration

    @property
    def orchestration_id(self) -> str:
        return self.orchestration.orchestration_id

    @property
    def tuning_run_id(self) -> str:
        return self.orchestration.stages[0].tuning_runs[0].tuning_run_id

    @property
    def faults(self) -> dict[str, str]:
        """Variables of the workers' processes."""
        return hostility.injected(FAULTS_GATE=str(self.folder / "gate"))

    def let_go(self) -> None:
        """Lets long trials end, now and later."""
        (self.folder / "gate").touch()

    async def queue(self, *points: dict[str, float]) -> None:
        trials = [
            NewTrial(
                parameters=assignment_to_proto(point).SerializeToString(),
                candidate_index=index,
                phase="grid",
                suggestion_index=index,
                suggested_at_sequence=1,
            )
            for index, point in enumerate(points)
        ]
        epoch = await self.scenario.lease(self.tuning_run_id)
        await self.scenario.cases.creation.create(self.tuning_run_id, epoch=epoch, trials=trials)

    def message(self, *numbers: int, attempt: int = 0) -> bytes:
        return task_messages_pb2.TrialBatch(
            version=1,
            orchestration_id=self.orchestration_id,
            tuning_run_id=self.tuning_run_id,
            trials=[
                task_messages_pb2.TrialReference(number=number, attempt=attempt)
                for number in numbers
            ],
        ).SerializeToString()

    async def rows(self) -> dict[int, tuple[str, int, int | None]]:
        """State, attempt and finished attempt by number."""
        async with self.database.reading() as connection:
            found = await connection.fetch(
                "SELECT number, state, attempt, finished_attempt FROM crescendo.trials"
                " WHERE orchestration_id = $1",
                self.orchestration_id,
            )
        return {each[0]: (each[1], each[2], each[3]) for each in found}

    async def until(self, number: int, state: str, *, attempt: int | None = None) -> None:
        async def reached() -> bool:
            now, current, _ = (await self.rows())[number]
            return now == state and attempt in (None, current)

        await until(reached, seconds=SECONDS)

    def has_reported_folds_of(self, *numbers: int) -> Callable[[], Awaitable[bool]]:
        """A trial that has is in the middle of its work: the store knows of its first fold of two."""

        async def reported() -> bool:
            events = await self.scenario.events(self.orchestration_id)
            scored = {each.number for _, each in events if isinstance(each, FoldScored)}
            return scored == set(numbers)

        return reported

    async def finished(self) -> list[tuple[int, int, TrialState]]:
        """The ends of trials in the log."""
        return [
            (each.number, each.attempt, each.state)
            for _, each in await self.scenario.events(self.orchestration_id)
            if isinstance(each, TrialFinished)
        ]

    def worker_settings(self, **changes: Any) -> WorkerSettings:
        values: dict[str, Any] = {
            "store_internal_address": self.store.internal_address,
            "worker_slots": 1,
            "worker_cache_dir": str(self.folder / "cache"),
        }
        return WorkerSettings(**(values | changes))


@pytest.fixture
def short_leases(settings: StoreSettings) -> StoreSettings:
    first, second = lasting_ports(2)
    return replace(
        settings,
        store_listen=f"127.0.0.1:{first}",
        store_internal_listen=f"127.0.0.1:{second}",
        # As short as a busy machine lets a worker renew them.
        lease_seconds=10.0,
        beat_seconds=1.0,
    )


@pytest.fixture
async def bench(
    short_leases: StoreSettings,
    scenario: Scenario,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Bench]:
    async with running_store(short_leases) as store:
        plan = await scenario.plan()
        run = plan.stages[0].tuning_runs[0]
        async with database.reading() as connection:
            content_hash = await connection.fetchval(
                "SELECT content_hash FROM crescendo.datasets WHERE dataset_id = 'sklearn:iris'"
            )
        evaluation = replace(run.evaluation, model_type="gaussian_nb", dataset_hash=content_hash)
        run = replace(run, evaluation=evaluation)
        plan = replace(plan, stages=(replace(plan.stages[0], tuning_runs=(run,)),))
        bench = Bench(
            scenario=scenario,
            database=database,
            store=store,
            folder=tmp_path,
            orchestration=await scenario.start(plan),
        )
        # Of the children that workers of this process start.
        for name, value in bench.faults.items():
            monkeypatch.setenv(name, value)
        yield bench


@pytest.fixture
def worker_process(bench: Bench, amqp_url: str, queue_prefix: str) -> Iterator[ServiceProcess]:
    """A worker with two slots, in a process of its own, that RabbitMQ feeds."""
    environ = service_environment(
        {
            "CRESCENDO_AMQP_URL": amqp_url,
            "CRESCENDO_QUEUE_PREFIX": queue_prefix,
            "CRESCENDO_STORE_INTERNAL_ADDRESS": bench.store.internal_address,
            "CRESCENDO_WORKER_SLOTS": "2",
            "CRESCENDO_WORKER_CACHE_DIR": str(bench.folder / "cache"),
            "CRESCENDO_WORKER_DRAIN_SECONDS": "1",
        }
        | bench.faults
    )
    process = start_process(
        "worker", ["-m", "services.worker"], environ=environ, folder=bench.folder
    )
    yield process
    process.clean_up()


@pytest.mark.slow
async def test_a_worker_frozen_past_its_lease_is_heard_once_or_not_at_all(
    bench: Bench, worker_process: ServiceProcess, amqp_url: str, queue_prefix: str
) -> None:
    """One of its trials is run by another worker meanwhile, the other one waits."""
    await bench.queue(LONG, LONG)
    other_broker = MemoryBroker()
    async with AsyncExitStack() as stack:
        rabbit = await stack.enter_async_context(
            RabbitBroker(amqp_url, Topology(prefix=queue_prefix))
        )
        connected = asyncio.Event()
        rabbit.add_connected_listener(connected.set)
        await connected.wait()
        await rabbit.publish("default", [bench.message(0, 1)])
        await until(bench.has_reported_folds_of(0, 1), seconds=SECONDS)
        os.kill(worker_process.pid, signal.SIGSTOP)
        # Its children go on, and end their trials while nobody listens.
        bench.let_go()
        await bench.until(0, "queued", attempt=1)
        await bench.until(1, "queued", attempt=1)
        await stack.enter_async_context(running_worker(bench.worker_settings(), other_broker))
        await other_broker.publish("default", [bench.message(1, attempt=1)])
        await bench.until(1, "succeeded")
        os.kill(worker_process.pid, signal.SIGCONT)
        await bench.until(0, "succeeded")
        await other_broker.publish("default", [bench.message(0, 1, attempt=1)] * 3)
        await until(lambda: _is_empty(other_broker), seconds=SECONDS)
    assert worker_process.terminate() == 0
    rows = await bench.rows()
    # The late success of the first trial's old attempt was taken, that of the second one's was not.
    assert {number: row[2] for number, row in rows.items()} == {0: 0, 1: 1}
    assert sorted(await bench.finished()) == [
        (0, 0, TrialState.SUCCEEDED),
        (1, 1, TrialState.SUCCEEDED),
    ]
    assert '"outcome": "fenced"' in worker_process.log.read_text()
    await bench.scenario.check(bench.orchestration_id)


@pytest.mark.slow
async def test_a_worker_whose_store_is_away_runs_on_and_reports_later(
    short_leases: StoreSettings, bench: Bench
) -> None:
    await bench.queue(LONG, QUICK)
    broker = MemoryBroker()
    async with AsyncExitStack() as stack:
        # A second store on the same database is the one the worker knows.
        first, second = lasting_ports(2)
        known = replace(
            short_leases,
            store_listen=f"127.0.0.1:{first}",
            store_internal_listen=f"127.0.0.1:{second}",
            drain_seconds=0.0,
        )
        async with running_store(known) as store:
            worker = bench.worker_settings(store_internal_address=store.internal_address)
            await stack.enter_async_context(running_worker(worker, broker))
            await broker.publish("default", [bench.message(0, 1)])
            await until(bench.has_reported_folds_of(0), seconds=SECONDS)
        # The lease ends and both trials are queued again, under the next attempt.
        await bench.until(0, "queued", attempt=1)
        await bench.until(1, "queued", attempt=1)
        bench.let_go()
        await until(both_ended, seconds=SECONDS)
        await stack.enter_async_context(running_store(known))
        await bench.until(0, "succeeded")
        await bench.until(1, "succeeded")
    assert {number: row[2] for number, row in (await bench.rows()).items()} == {0: 0, 1: 0}
    assert len(await bench.finished()) == 2
    await bench.scenario.check(bench.orchestration_id)


async def test_bad_messages_and_repeated_ones_stop_nothing(bench: Bench) -> None:
    points = [QUICK] * 3
    await bench.queue(*points)
    good = [bench.message(number) for number in range(3)]
    unknown = task_messages_pb2.TrialBatch(
        version=1,
        orchestration_id="00000000-0000-4000-8000-000000000000",
        tuning_run_id=bench.tuning_run_id,
        trials=[task_messages_pb2.TrialReference(number=0)],
    )
    strange = task_messages_pb2.TrialBatch(
        version=1,
        orchestration_id="'; DROP TABLE",
        tuning_run_id="\n",
        trials=[task_messages_pb2.TrialReference(number=-1, attempt=-7)],
    )
    stale = [
        unknown.SerializeToString(),
        strange.SerializeToString(),
        bench.message(99),
        bench.message(0, attempt=5),
    ]
    future = task_messages_pb2.TrialBatch.FromString(good[0])
    future.version = 2
    bad = {
        b"": "UNKNOWN_VERSION",
        b"\xff\x00garbage": "GARBAGE",
        good[0][:-1]: "GARBAGE",
        future.SerializeToString(): "UNKNOWN_VERSION",
        b"\x0a" * 300_000: "OVERSIZE",
    }
    bodies = (good + stale + list(bad)) * 10
    random.Random(5).shuffle(bodies)
    before = {reason: counted(reason) for reason in bad.values()}
    broker = MemoryBroker()
    await broker.publish("default", bodies)
    async with running_worker(bench.worker_settings(), broker):
        for number in range(3):
            await bench.until(number, "succeeded", attempt=0)
        await until(lambda: _is_empty(broker), seconds=SECONDS)
        await until(lambda: _has_dead_letters(broker, 10 * len(bad)), seconds=SECONDS)
    assert len(await bench.finished()) == 3
    for reason in set(bad.values()):
        assert counted(reason) - before[reason] == 10 * list(bad.values()).count(reason)
    await bench.scenario.check(bench.orchestration_id)


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("crescendo_worker_messages_total", {"outcome": outcome}) or 0.0


async def both_ended() -> bool:
    return REGISTRY.get_sample_value("crescendo_worker_unreported_results") == 2


async def _has_dead_letters(broker: MemoryBroker, count: int) -> bool:
    return await broker.dead_letters() == count


async def _is_empty(broker: MemoryBroker) -> bool:
    return await broker.depth("default") == 0

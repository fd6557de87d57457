"""The worker as a process: draining when nobody answers, insisting, failing, and its clock."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from services.common.messaging.memory import MemoryBroker
from services.common.messaging.rabbit import RabbitBroker
from services.common.messaging.topology import Topology
from services.common.vitals import Vitals
from services.core.objective import EvaluationSpec
from services.core.trial import FailureKind, TrialState
from services.worker.adapters.store_client import GrpcTrialStore
from services.worker.app import running_worker
from services.worker.settings import WorkerSettings
from testbed.addresses import lasting_ports
from testbed.processes import ServiceProcess, service_environment, start_process
from tests.integration.worker.datasets import built_in
from tests.integration.worker.trial_service import DEADLINE, MemoryTrialService, serving
from tests.support import hostility
from tuning.v1 import trial_service_pb2 as pb

BREAST_CANCER = built_in("breast_cancer")
StartWorker = Callable[..., ServiceProcess]


def service(model_type: str = "gaussian_nb") -> MemoryTrialService:
    spec = EvaluationSpec(
        dataset_id="sklearn:breast_cancer",
        dataset_hash=BREAST_CANCER.content_hash,
        model_type=model_type,
        metrics=("accuracy",),
        cv_folds=3,
    )
    return MemoryTrialService(spec=spec, dataset=BREAST_CANCER)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartWorker]:
    """Starts a worker whose GaussianNB may misbehave."""
    started: list[ServiceProcess] = []

    def start(store: str, **settings: str) -> ServiceProcess:
        (nobody,) = lasting_ports(1)
        environ = service_environment(
            {
                "CRESCENDO_STORE_INTERNAL_ADDRESS": store,
                "CRESCENDO_AMQP_URL": f"amqp://127.0.0.1:{nobody}/",
                "CRESCENDO_WORKER_SLOTS": "1",
                "CRESCENDO_WORKER_CACHE_DIR": str(tmp_path / "cache"),
                "CRESCENDO_WORKER_DRAIN_SECONDS": "1",
            }
            | hostility.injected()
            | settings
        )
        process = start_process(
            "worker", ["-m", "services.worker"], environ=environ, folder=tmp_path
        )
        started.append(process)
        return process

    yield start
    for each in started:
        each.clean_up()


async def ended(process: ServiceProcess) -> int:
    return await asyncio.to_thread(process.popen.wait, DEADLINE)


async def until_logged(process: ServiceProcess, text: str) -> None:
    async with asyncio.timeout(DEADLINE):
        while text not in process.log.read_text():  # noqa: ASYNC110 (a file gives no sign)
            await asyncio.sleep(0.05)


async def test_with_store_and_broker_away_it_ends_when_told_to(start: StartWorker) -> None:
    (nobody,) = lasting_ports(1)
    process = start(f"127.0.0.1:{nobody}")
    await until_logged(process, "cannot register with the store")
    process.popen.terminate()
    assert await ended(process) == 0


@pytest.mark.slow
async def test_it_ends_within_its_drain_and_a_bound_though_nobody_takes_what_it_has(
    start: StartWorker, amqp_url: str, queue_prefix: str
) -> None:
    """A trial that ignores SIGTERM runs, another waits, and the store has gone away."""
    store = service()
    store.add_trials(hostility.trial("ignore_sigterm"), hostility.GOOD)
    async with (
        serving(store) as address,
        RabbitBroker(amqp_url, Topology(prefix=queue_prefix)) as rabbit,
    ):
        process = start(address, CRESCENDO_AMQP_URL=amqp_url, CRESCENDO_QUEUE_PREFIX=queue_prefix)
        await publish(rabbit, store.message(0, 1))
        await store.until(lambda: store.trials[1].state is TrialState.RUNNING, "a claim")
        family = psutil.Process(process.pid).children(recursive=True)
        store.away = True
        process.popen.terminate()
        # Both trials, and the store, would keep it for ever.
        assert await ended(process) == 0
    assert psutil.wait_procs(family, timeout=60)[1] == []


async def test_a_second_sigterm_ends_it_at_once(
    start: StartWorker, amqp_url: str, queue_prefix: str
) -> None:
    store = service()
    store.add_trials(hostility.trial("ignore_sigterm"))
    async with (
        serving(store) as address,
        RabbitBroker(amqp_url, Topology(prefix=queue_prefix)) as rabbit,
    ):
        process = start(
            address,
            CRESCENDO_AMQP_URL=amqp_url,
            CRESCENDO_QUEUE_PREFIX=queue_prefix,
            CRESCENDO_WORKER_DRAIN_SECONDS="600",
        )
        await publish(rabbit, store.message(0))
        await store.until(lambda: store.trials[0].state is TrialState.RUNNING, "a claim")
        family = psutil.Process(process.pid).children(recursive=True)
        process.popen.terminate()
        await until_logged(process, "worker draining")
        process.popen.terminate()
        # Its drain would take ten minutes.
        assert await ended(process) == -signal.SIGTERM
    assert psutil.wait_procs(family, timeout=60)[1] == []


async def test_a_worker_that_fails_says_so_and_leaves_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody foresaw in the heart of the worker, while a trial runs."""
    store = service()
    store.add_trials(hostility.GOOD)
    vitals = Vitals()

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("unforeseen")

    async with serving(store) as address:
        settings = WorkerSettings(
            store_internal_address=address,
            worker_slots=1,
            worker_cache_dir=str(tmp_path / "cache"),
            worker_drain_seconds=600,
        )
        async with running_worker(settings, MemoryBroker(), vitals):
            await store.until(lambda: bool(store.beats), "a beat")
            monkeypatch.setattr(GrpcTrialStore, "heartbeat", fail)
            async with asyncio.timeout(DEADLINE):
                failure = await vitals.wait_failed()
        assert failure.name == "worker"
        assert store.sessions == {}
        assert len(store.registrations) == 1


@pytest.mark.slow
async def test_a_cancel_reaches_the_child(
    start: StartWorker, amqp_url: str, queue_prefix: str
) -> None:
    """From the store's order to the end of the processes: of children in a loop, and of one that starts."""
    store = service()
    ways = ("loop_in_c", "ignore_sigterm")
    store.add_trials(*map(hostility.trial, ways), hostility.trial("loop_in_c"), hostility.GOOD)
    async with (
        serving(store) as address,
        RabbitBroker(amqp_url, Topology(prefix=queue_prefix)) as rabbit,
    ):
        process = start(
            address,
            CRESCENDO_AMQP_URL=amqp_url,
            CRESCENDO_QUEUE_PREFIX=queue_prefix,
            CRESCENDO_WORKER_SLOTS="2",
        )
        await publish(rabbit, store.message(0), store.message(1))
        for way in ways:
            await until_logged(process, f"misbehaving: {way}")
        doomed = children(process)
        for number in range(2):
            store.order(pb.ORDER_KIND_CANCEL, number)
        await store.until(lambda: not store.beats[-1].held, "they are let go")
        # Given to a child that does not stand yet.
        await publish(rabbit, store.message(2))
        await store.until(lambda: store.trials[2].state is TrialState.RUNNING, "a claim")
        store.order(pb.ORDER_KIND_CANCEL, 2)
        gone, alive = await asyncio.to_thread(psutil.wait_procs, doomed, DEADLINE)
        assert (len(gone), alive) == (2, [])
        # Whatever they were in the middle of, the slots are free for the next trial.
        await store.until(lambda: not store.beats[-1].held, "the third is let go too")
        await publish(rabbit, store.message(3))
        (result,) = await store.until_terminal(3)
    assert result.state is TrialState.SUCCEEDED
    assert process.log.read_text().count("misbehaving: loop_in_c") == 1


@pytest.mark.slow
async def test_a_clock_an_hour_off_changes_nothing(
    start: StartWorker, amqp_url: str, queue_prefix: str
) -> None:
    """The wall limit, beats and results of a worker whose `time.time` is an hour ahead of the store's."""
    store = service()
    store.add_trials(hostility.trial("loop_in_python"), hostility.GOOD)
    async with (
        serving(store) as address,
        RabbitBroker(amqp_url, Topology(prefix=queue_prefix)) as rabbit,
    ):
        start(
            address,
            CRESCENDO_AMQP_URL=amqp_url,
            CRESCENDO_QUEUE_PREFIX=queue_prefix,
            CRESCENDO_TRIAL_TIMEOUT_SECONDS="5",
            FAULTS_CLOCK_SECONDS="3600",
        )
        await publish(rabbit, store.message(0, 1))
        late, good = await store.until_terminal(0, 1)
        beats = len(store.beats)
        await store.until(lambda: len(store.beats) > beats, "beats go on")
    assert late.failure is not None
    assert late.failure.kind is FailureKind.TIMEOUT
    # An hour's jump would be seen.
    assert 4.0 < late.duration_seconds < 600
    assert good.state is TrialState.SUCCEEDED
    assert len(store.registrations) == 1


def children(process: ServiceProcess) -> list[psutil.Process]:
    return [
        each
        for each in psutil.Process(process.pid).children()
        if "services.worker.child" in each.cmdline()
    ]


async def publish(rabbit: RabbitBroker, *bodies: bytes) -> None:
    connected = asyncio.Event()
    rabbit.add_connected_listener(connected.set)
    async with asyncio.timeout(DEADLINE):
        await connected.wait()
    await rabbit.publish("default", list(bodies))

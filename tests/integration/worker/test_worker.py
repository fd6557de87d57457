"""The whole worker: messages from a broker, a store over gRPC, fits in child processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.model_selection import cross_validate
from sklearn.naive_bayes import GaussianNB

from services.common.messaging.memory import MemoryBroker
from services.common.messaging.rabbit import RabbitBroker
from services.common.messaging.topology import Topology
from services.core.objective import EvaluationSpec
from services.core.trial import FailureKind, TrialState
from services.worker.app import RunningWorker, running_worker
from services.worker.settings import WorkerSettings
from testbed.addresses import lasting_ports
from tests.integration.worker.datasets import built_in
from tests.integration.worker.trial_service import DEADLINE, MemoryTrialService, serving
from tuning.v1 import trial_service_pb2 as pb

# Minutes of work.
ENDLESS = {"n_estimators": 1_000_000}
# A few seconds of work in three folds.
LONG = {"n_estimators": 600}
QUICK = {"n_estimators": 2}

BREAST_CANCER = built_in("breast_cancer")
StartWorker = Callable[..., contextlib.AbstractAsyncContextManager[RunningWorker]]


def service(model_type: str = "random_forest_classifier", **changes: Any) -> MemoryTrialService:
    values: dict[str, Any] = {
        "dataset_id": "sklearn:breast_cancer",
        "dataset_hash": BREAST_CANCER.content_hash,
        "model_type": model_type,
        "metrics": ("accuracy",),
        "cv_folds": 3,
    }
    return MemoryTrialService(spec=EvaluationSpec(**(values | changes)), dataset=BREAST_CANCER)


@pytest.fixture
async def broker() -> AsyncIterator[MemoryBroker]:
    async with MemoryBroker() as broker:
        yield broker


@pytest.fixture
def start(broker: MemoryBroker, tmp_path: Path) -> StartWorker:
    """Starts a worker on the broker against a store's address."""

    def start(
        address: str, **changes: Any
    ) -> contextlib.AbstractAsyncContextManager[RunningWorker]:
        values: dict[str, Any] = {
            "store_internal_address": address,
            "worker_slots": 1,
            "worker_cache_dir": str(tmp_path / "cache"),
        }
        return running_worker(WorkerSettings(**(values | changes)), broker)

    return start


async def test_trials_are_claimed_evaluated_and_reported(
    start: StartWorker, broker: MemoryBroker
) -> None:
    store = service("gaussian_nb", metrics=("accuracy", "roc_auc"))
    points = [{"var_smoothing": 10.0**-power} for power in range(1, 7)]
    numbers = store.add_trials(*points)
    await broker.publish("default", [store.message(*numbers[:4])])
    async with serving(store) as address, start(address, worker_slots=2) as worker:
        # Where children are slow to start, a message behind others is handed back after five seconds.
        await store.until_terminal(*numbers[:4])
        await broker.publish("default", [store.message(*numbers[4:])])
        results = await store.until_terminal(*numbers)
    assert worker.slots == store.registrations[0].slots == 2
    assert store.registrations[0].worker_name == worker.name
    for point, result in zip(points, results, strict=True):
        expected = cross_validate(
            GaussianNB(**point),
            BREAST_CANCER.features,
            BREAST_CANCER.target,
            cv=3,
            scoring=["accuracy", "roc_auc"],
        )
        assert result.state is TrialState.SUCCEEDED
        assert {each.metric: list(each.scores) for each in result.metrics} == {
            metric: list(expected[f"test_{metric}"]) for metric in ("accuracy", "roc_auc")
        }
        assert 0 < result.fit_seconds < result.duration_seconds
    assert store.downloads == 1
    assert store.sessions == {}


async def test_over_real_rabbitmq(amqp_url: str, queue_prefix: str, tmp_path: Path) -> None:
    store = service("gaussian_nb")
    numbers = store.add_trials(*({"var_smoothing": 10.0**-power} for power in range(1, 5)))
    async with (
        serving(store) as address,
        RabbitBroker(amqp_url, Topology(prefix=queue_prefix)) as rabbit,
        running_worker(
            WorkerSettings(
                store_internal_address=address,
                worker_slots=1,
                worker_cache_dir=str(tmp_path / "cache"),
            ),
            rabbit,
        ),
    ):
        connected = asyncio.Event()
        rabbit.add_connected_listener(connected.set)
        async with asyncio.timeout(DEADLINE):
            await connected.wait()
        await rabbit.publish("default", [store.message(*numbers), b"\xff garbage"])
        results = await store.until_terminal(*numbers)
        async with asyncio.timeout(DEADLINE):
            while await rabbit.dead_letters() != 1:  # noqa: ASYNC110 (only asking tells)
                await asyncio.sleep(0.05)
    assert {each.state for each in results} == {TrialState.SUCCEEDED}


async def test_failures_are_reported_by_kind_and_the_search_goes_on(
    start: StartWorker, broker: MemoryBroker
) -> None:
    store = service("logistic_regression")
    numbers = store.add_trials({"C": -1.0}, {"C": 1.0})
    await broker.publish("default", [store.message(*numbers)])
    async with serving(store) as address, start(address):
        bad, good = await store.until_terminal(*numbers)
    assert bad.state is TrialState.FAILED
    assert bad.failure is not None
    assert bad.failure.kind is FailureKind.INVALID_PARAMETERS
    assert good.state is TrialState.SUCCEEDED


async def test_a_store_that_comes_up_later_is_waited_for(
    start: StartWorker, broker: MemoryBroker
) -> None:
    store = service()
    numbers = store.add_trials(QUICK)
    await broker.publish("default", [store.message(*numbers)])
    (port,) = lasting_ports(1)
    async with start(f"127.0.0.1:{port}"), serving(store, f"127.0.0.1:{port}"):
        (result,) = await store.until_terminal(*numbers)
    assert result.state is TrialState.SUCCEEDED


async def test_a_store_outage_loses_no_finished_result(
    start: StartWorker, broker: MemoryBroker
) -> None:
    store = service()
    numbers = store.add_trials(LONG)
    await broker.publish("default", [store.message(*numbers)])
    async with serving(store) as address, start(address):
        await store.until(lambda: store.trials[0].state is TrialState.RUNNING, "a claim")
        store.away = True
        await asyncio.to_thread(await_idle_children)
        store.away = False
        (result,) = await store.until_terminal(*numbers)
    assert result.state is TrialState.SUCCEEDED
    assert store.trials[0].attempt == 0


async def test_a_lost_session_is_opened_anew_and_results_still_arrive(
    start: StartWorker, broker: MemoryBroker
) -> None:
    store = service()
    numbers = store.add_trials(LONG)
    await broker.publish("default", [store.message(*numbers)])
    async with serving(store) as address, start(address):
        await store.until(lambda: store.trials[0].state is TrialState.RUNNING, "a claim")
        store.forget_sessions()
        await store.until(lambda: len(store.registrations) == 2, "another registration")
        (result,) = await store.until_terminal(*numbers)
    assert result.state is TrialState.SUCCEEDED


async def test_beats_list_what_is_held(start: StartWorker, broker: MemoryBroker) -> None:
    store = service()
    numbers = store.add_trials(ENDLESS, QUICK)
    await broker.publish("default", [store.message(*numbers)])
    async with serving(store) as address, start(address, worker_drain_seconds=0.0):
        await store.until(
            lambda: any(
                sorted(each.number for each in beat.held) == numbers and beat.free_slots == 0
                for beat in store.beats
            ),
            "a beat with both trials, the one that waits included",
        )


async def test_cancelled_trials_are_stopped_and_given_up_wherever_they_are(
    start: StartWorker, broker: MemoryBroker
) -> None:
    store = service()
    numbers = store.add_trials(ENDLESS, ENDLESS, QUICK)
    await broker.publish("default", [store.message(*numbers)])
    async with serving(store) as address, start(address):
        await store.until(
            lambda: any(len(beat.held) == 3 for beat in store.beats), "a beat with all three"
        )
        store.cancel(0, 1)
        (result,) = await store.until_terminal(2)
        assert result.state is TrialState.SUCCEEDED
        await store.until(lambda: len(store.returned) == 2, "both are given up")
        await store.until(lambda: not store.beats[-1].held, "a beat with nothing held")
    assert sorted(each.number for each in store.returned) == [0, 1]
    assert store.trials[0].result is store.trials[1].result is None


async def test_a_stopped_trial_is_told_of_once_the_store_takes_it(
    start: StartWorker, broker: MemoryBroker
) -> None:
    store = service()
    numbers = store.add_trials(ENDLESS)
    await broker.publish("default", [store.message(*numbers)])
    async with serving(store) as address, start(address):
        await store.until(lambda: store.trials[0].state is TrialState.RUNNING, "a claim")
        store.failing_returns = 2
        store.cancel(0)
        await store.until(lambda: bool(store.returned), "it is given up")
        assert (store.failing_returns, store.returned) == (0, [store.trials[0].key])


async def test_a_worker_that_drains_tells_of_what_it_was_told_to_stop(
    start: StartWorker, broker: MemoryBroker
) -> None:
    store = service()
    numbers = store.add_trials(ENDLESS)
    await broker.publish("default", [store.message(*numbers)])
    async with serving(store) as address:
        async with start(address):
            await store.until(lambda: store.trials[0].state is TrialState.RUNNING, "a claim")
            store.failing_returns = 1
            store.cancel(0)
            await store.until(lambda: not store.failing_returns, "one call that failed")
        assert store.returned == [store.trials[0].key]
        assert store.sessions == {}


async def test_a_pruned_trial_ends_with_the_folds_it_had(
    start: StartWorker, broker: MemoryBroker
) -> None:
    store = service()
    numbers = store.add_trials({"n_estimators": 1_500})
    await broker.publish("default", [store.message(*numbers)])
    async with serving(store) as address, start(address):
        await store.until(lambda: bool(store.folds), "a fold report")
        store.order(pb.ORDER_KIND_PRUNE, 0)
        (result,) = await store.until_terminal(0)
    assert result.state is TrialState.PRUNED
    assert result.metrics[0].metric == "accuracy"
    assert [fold.value for fold in store.folds] == list(result.metrics[0].scores)[
        : len(store.folds)
    ]


async def test_folds_of_short_trials_are_not_reported(
    start: StartWorker, broker: MemoryBroker
) -> None:
    store = service()
    async with serving(store) as address, start(address):
        while True:
            store.folds.clear()
            numbers = store.add_trials(*[QUICK] * 3)
            await broker.publish("default", [store.message(*numbers)])
            results = await store.until_terminal(*numbers)
            if all(each.duration_seconds < 1 for each in results):
                break
            # On a busy machine they were no short ones.
    assert store.folds == []


async def test_a_trial_past_the_workers_limit_times_out(
    start: StartWorker, broker: MemoryBroker
) -> None:
    store = service()
    numbers = store.add_trials(ENDLESS, QUICK)
    await broker.publish("default", [store.message(*numbers)])
    async with serving(store) as address, start(address, trial_timeout_seconds=5.0):
        late, next_one = await store.until_terminal(*numbers)
    assert late.failure is not None
    assert late.failure.kind is FailureKind.TIMEOUT
    assert next_one.state is TrialState.SUCCEEDED


async def test_messages_that_find_no_slot_are_handed_back(
    start: StartWorker, broker: MemoryBroker
) -> None:
    store = service()
    store.add_trials(ENDLESS, QUICK)
    await broker.publish("default", [store.message(0)])
    async with serving(store) as address, start(address, worker_drain_seconds=0.0):
        await store.until(lambda: store.trials[0].state is TrialState.RUNNING, "a claim")
        await broker.publish("default", [store.message(1)])
        await store.until(lambda: bool(store.declined), "a trial is handed back")
        assert [each.number for each in store.declined] == [1]
        assert store.trials[0].state is TrialState.RUNNING
        assert await broker.depth("default") == 0


async def test_draining_finishes_what_runs_and_returns_what_waits(
    start: StartWorker, broker: MemoryBroker
) -> None:
    store = service()
    numbers = store.add_trials(LONG, LONG)
    await broker.publish("default", [store.message(*numbers)])
    async with serving(store) as address:
        async with start(address, worker_drain_seconds=DEADLINE):
            await store.until(lambda: bool(store.folds), "the first trial runs")
        assert store.trials[0].state is TrialState.SUCCEEDED
        assert [each.number for each in store.returned] == [1]
        assert store.sessions == {}


async def test_draining_hands_back_what_outlasts_the_grace(
    start: StartWorker, broker: MemoryBroker
) -> None:
    store = service()
    numbers = store.add_trials(ENDLESS)
    await broker.publish("default", [store.message(*numbers)])
    async with serving(store) as address:
        async with start(address, worker_drain_seconds=0.2):
            await store.until(
                lambda: bool(store.beats) and bool(store.beats[-1].held), "a beat with the trial"
            )
        assert [each.number for each in store.returned] == [0]
        assert store.trials[0].state is TrialState.QUEUED


async def test_a_dataset_that_is_not_what_it_should_be_fails_its_trials(
    start: StartWorker, broker: MemoryBroker
) -> None:
    store = service(dataset_hash="0" * 64)
    numbers = store.add_trials(QUICK)
    await broker.publish("default", [store.message(*numbers)])
    async with serving(store) as address, start(address):
        (result,) = await store.until_terminal(*numbers)
    assert result.failure is not None
    assert result.failure.kind is FailureKind.INFRA
    assert "hash" in result.failure.message


def await_idle_children() -> None:
    """Waits until no child of this process computes any more."""
    import psutil

    quiet = 0
    while quiet < 3:
        busy = [
            each
            for each in psutil.Process().children()
            if each.status() != psutil.STATUS_ZOMBIE
            and "services.worker.child" in each.cmdline()
            and each.cpu_percent(interval=0.2) > 20
        ]
        quiet = 0 if busy else quiet + 1

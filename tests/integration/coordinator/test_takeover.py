"""Coordinators that stop in the middle, and several at once: the counts stay exact."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common.convert.values import assignment_from_proto
from services.common.messaging.memory import MemoryBroker
from services.common.rpc.client import open_channel
from services.coordinator.app import running_coordinator
from services.coordinator.service import dispatching
from services.coordinator.settings import CoordinatorSettings
from services.core.digest import assignment_digest
from services.store.app import running_store
from services.store.settings import StoreSettings
from testbed.addresses import lasting_ports
from tests.integration.coordinator.conftest import DEADLINE, Bench, State, svm_score
from tuning.v1 import orchestration_pb2

GRID = {"C": [0.1, 1, 10, 100], "gamma": [0.001, 0.01, 0.1]}


async def check_exact(bench: Bench, orchestration: orchestration_pb2.Orchestration) -> None:
    assert orchestration.state == State.LIFECYCLE_STATE_COMPLETED, orchestration
    assert [stage.counts.succeeded for stage in orchestration.stages] == [12, 10, 6]
    assert orchestration.counts.completed == 28
    trials = await bench.trials(orchestration.orchestration_id)
    points = {assignment_digest(assignment_from_proto(trial.parameters)) for trial in trials}
    assert len(points) == 28
    for index in range(3):
        mine = [trial.suggestion_index for trial in trials if trial.stage_index == index]
        assert sorted(mine) == [*range(len(mine))]


async def test_another_coordinator_goes_on_in_every_stage(bench: Bench) -> None:
    worker = await bench.worker(svm_score, held=True)
    coordinator = await bench.coordinator()
    started = await coordinator.progressive(
        model_run_id=await bench.model_run(),
        initial_param_grid=GRID,
        n_iter_random=10,
        n_iter_bayesian=6,
    )
    done = 0
    for more in (4, 11, 8, 2):
        worker.allow(more)
        done += more
        enough = done
        await bench.until(
            started.orchestration_id,
            lambda now, enough=enough: now.counts.completed >= enough,  # type: ignore[misc]  # (bound now)
        )
        await coordinator.stop()
        coordinator = await bench.coordinator()
    worker.let_go()
    await check_exact(bench, await bench.ended(started.orchestration_id))


async def test_two_coordinators_share_the_work_and_one_may_leave(bench: Bench) -> None:
    await bench.worker(svm_score)
    first, second = await bench.coordinator(), await bench.coordinator()
    model_run = await bench.model_run()
    started = [
        await each.progressive(
            model_run_id=model_run,
            initial_param_grid=GRID,
            n_iter_random=10,
            n_iter_bayesian=6,
            random_state=seed,
        )
        for seed, each in enumerate([first, second, first, second])
    ]
    await bench.until(started[3].orchestration_id, lambda now: now.counts.completed >= 2)
    await first.stop()
    for each in started:
        await check_exact(bench, await bench.ended(each.orchestration_id))


async def test_a_search_that_nobody_conducts_waits_and_is_found(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    started = await coordinator.progressive(
        model_run_id=await bench.model_run(),
        initial_param_grid=GRID,
        n_iter_random=10,
        n_iter_bayesian=6,
    )
    await coordinator.stop()
    await bench.worker(svm_score)
    await bench.coordinator()
    await check_exact(bench, await bench.ended(started.orchestration_id))


async def test_what_one_coordinator_hands_out_no_other_does(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is recalled is sent again: from an empty queue whose trials a busy machine is slow to claim...
    monkeypatch.setattr(dispatching, "_EMPTY_SECONDS", 600.0)
    workers = [await bench.worker(svm_score, slots=3) for _ in range(2)]
    with structlog.testing.capture_logs() as lines:
        coordinators = [await bench.coordinator() for _ in range(3)]
        # ... and by each coordinator once it is connected.
        async with asyncio.timeout(DEADLINE):
            while [line["event"] for line in lines].count("recalled after connecting") < 3:  # noqa: ASYNC110 (other tasks')
                await asyncio.sleep(0.02)
    model_run = await bench.model_run()
    started = [
        await each.tuning(
            model_run_id=model_run,
            tuning_method="random_search",
            param_grid={"C": [*range(1, 41)], "gamma": [0.001, 0.003, 0.01, 0.03, 0.1]},
            n_iter=80,
            random_state=seed,
            priority=seed,
        )
        for seed, each in enumerate(coordinators)
    ]
    for each in started:
        ended = await bench.ended(each.orchestration_id)
        assert ended.counts.succeeded == ended.counts.total == 80
    messages = [each for worker in workers for each in worker.received]
    assert len(messages) == len(set(messages)) == 240


METHODS: dict[str, dict[str, Any]] = {
    "grid_search": {"param_grid": GRID},
    "random_search": {"param_grid": {"C": [*range(1, 41)], "gamma": [0.01, 0.03]}, "n_iter": 9},
    # One at a time, so none is suggested ahead: what a model knows at each suggestion does not hang on timing.
    "bayesian": {
        "param_grid": {"C": [0.1, 100], "gamma": [0.001, 0.1]},
        "n_iter": 9,
        "max_concurrent_trials": 1,
    },
}


@pytest.mark.parametrize("method", METHODS)
async def test_a_takeover_goes_on_with_the_points_that_were_to_come(
    bench: Bench, method: str
) -> None:
    worker = await bench.worker(svm_score, slots=1, held=True)
    coordinator = await bench.coordinator()
    body = {"model_run_id": await bench.model_run(), "tuning_method": method, **METHODS[method]}
    points: list[list[object]] = []
    for takeovers in (False, True):
        started = await coordinator.tuning(**body)
        for done in range(1, started.counts.total + 1):
            worker.allow(1)
            await bench.until(
                started.orchestration_id,
                lambda now, done=done: now.counts.completed >= done,  # type: ignore[misc]  # (bound now)
            )
            if takeovers and done in (1, 3, 6):
                await coordinator.stop()
                coordinator = await bench.coordinator()
        assert (
            await bench.ended(started.orchestration_id)
        ).counts.succeeded == started.counts.total
        points.append(
            [
                (trial.suggestion_index, assignment_from_proto(trial.parameters))
                for trial in await bench.trials(started.orchestration_id)
            ]
        )
    assert points[0] == points[1]


async def test_a_coordinator_whose_lease_was_taken_writes_nothing(
    bench: Bench, fresh_postgres_dsn: str
) -> None:
    worker = await bench.worker(svm_score, held=True)
    coordinator = await bench.coordinator()
    started = await coordinator.tuning(
        model_run_id=await bench.model_run(),
        tuning_method="bayesian",
        param_grid={"C": [0.1, 100]},
        n_iter=8,
    )
    identifier = started.orchestration_id
    await bench.until(identifier, lambda now: now.counts.running == 2)
    database = await asyncpg.connect(fresh_postgres_dsn)
    try:
        # As another coordinator would take it that found it run out.
        await database.execute(
            "UPDATE crescendo.tuning_runs SET searcher_owner = 'another',"
            " searcher_epoch = searcher_epoch + 1, searcher_until = now() + interval '1 hour'"
        )
        worker.let_go()
        taken = await bench.until(identifier, lambda now: now.counts.succeeded == 2)
        # Long enough for its next renewal, which tells it, and for many a suggestion before.
        last = taken.last_sequence
        begun = asyncio.get_running_loop().time()
        await bench.until(identifier, lambda _: asyncio.get_running_loop().time() - begun > 5.0)
        now = await bench.get(identifier)
        assert (now.last_sequence, now.counts.completed, now.counts.queued) == (last, 2, 0)
        await database.execute("UPDATE crescendo.tuning_runs SET searcher_until = now()")
    finally:
        await database.close()
    ended = await bench.ended(identifier)
    assert (ended.state, ended.counts.succeeded) == (State.LIFECYCLE_STATE_COMPLETED, 8)


async def test_an_extension_through_one_coordinator_is_conducted_by_whoever_holds_the_lease(
    bench: Bench,
) -> None:
    await bench.worker(svm_score)
    first, second = await bench.coordinator(), await bench.coordinator()
    started = await first.tuning(
        model_run_id=await bench.model_run(),
        tuning_method="random_search",
        param_grid={"C": [*range(1, 101)]},
        n_iter=6,
    )
    for asked, total in ((second, 10), (first, 14), (second, 18)):
        assert (await bench.ended(started.orchestration_id)).counts.succeeded == total - 4
        extended = await asked.extend(started.orchestration_id, additional_trials=4)
        assert extended.counts.total == total
    ended = await bench.ended(started.orchestration_id)
    assert (ended.state, ended.counts.succeeded) == (State.LIFECYCLE_STATE_COMPLETED, 18)
    points = {
        assignment_digest(assignment_from_proto(trial.parameters))
        for trial in await bench.trials(started.orchestration_id)
    }
    assert len(points) == 18


async def test_a_coordinator_without_a_store_says_so_and_waits_for_it(
    fresh_postgres_dsn: str,
) -> None:
    ports = lasting_ports(2)
    settings = CoordinatorSettings(
        coordinator_listen="127.0.0.1:0",
        store_address=f"127.0.0.1:{ports[0]}",
        store_internal_address=f"127.0.0.1:{ports[1]}",
    )
    async with (
        MemoryBroker() as broker,
        running_coordinator(settings, broker) as running,
        open_channel(running.address) as channel,
    ):
        health = health_pb2_grpc.HealthStub(channel)

        async def status() -> int:
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=60)
            return int(answer.status)

        assert await status() == health_pb2.HealthCheckResponse.NOT_SERVING
        async with (
            running_store(
                StoreSettings(
                    postgres_dsn=fresh_postgres_dsn,
                    store_listen=settings.store_address,
                    store_internal_listen=settings.store_internal_address,
                    drain_seconds=1.0,
                )
            ),
            asyncio.timeout(DEADLINE),
        ):
            # As a load balancer does.
            while await status() != health_pb2.HealthCheckResponse.SERVING:  # noqa: ASYNC110 (only asking tells)
                await asyncio.sleep(0.05)

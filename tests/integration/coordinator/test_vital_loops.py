"""A loop that keeps failing is a failure of its whole service, which whoever runs it hears of."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import asyncpg
import pytest
import structlog

from services.common.messaging.memory import MemoryBroker
from services.common.vitals import RepeatedFailure, Vitals
from services.coordinator.app import running_coordinator
from services.coordinator.service.dispatching import Dispatching
from services.store.adapters.change_feed import PollingFeed
from services.store.app import running_store
from services.store.settings import StoreSettings
from tests.integration.coordinator.conftest import (
    DEADLINE,
    Bench,
    State,
    settings_for,
    svm_score,
)


async def _broken(_self: object) -> None:
    raise RuntimeError("a bug")


async def test_a_store_whose_feed_keeps_failing_fails(
    fresh_postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PollingFeed, "run", _broken)
    vitals = Vitals()
    settings = StoreSettings(
        postgres_dsn=fresh_postgres_dsn,
        store_listen="127.0.0.1:0",
        store_internal_listen="127.0.0.1:0",
        metrics_listen="off",
    )
    async with running_store(settings, vitals):
        failure = await asyncio.wait_for(vitals.wait_failed(), 60)
    assert failure.name == "feed"
    assert isinstance(failure.error, RepeatedFailure)


async def test_a_coordinator_whose_dispatching_keeps_failing_fails(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dispatching, "run", _broken)
    vitals = Vitals()
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(MemoryBroker())
        await stack.enter_async_context(
            running_coordinator(settings_for(bench.store), broker, vitals)
        )
        failure = await asyncio.wait_for(vitals.wait_failed(), 60)
    assert failure.name == "coordinator"


async def test_a_worker_class_without_a_queue_ends_no_coordinator(
    bench: Bench, fresh_postgres_dsn: str
) -> None:
    with structlog.testing.capture_logs() as lines:
        coordinator = await bench.coordinator()
        waiting = await coordinator.cross_validation(model_run_id=await bench.model_run())
        await bench.until(waiting.orchestration_id, lambda each: each.counts.queued == 1)
        connection = await asyncpg.connect(fresh_postgres_dsn)
        try:
            # As stores wrote them before they refused such names.
            await connection.execute(
                "UPDATE crescendo.orchestrations SET worker_class = 'gpu a100';"
                " UPDATE crescendo.tuning_runs SET worker_class = 'gpu a100';"
                " INSERT INTO crescendo.sessions"
                " (session_id, worker_class, worker_name, slots, free_slots, lease_until) VALUES"
                " (gen_random_uuid(), 'gpu a100', 'old', 2, 2, crescendo.now() + interval '1 h')"
            )
        finally:
            await connection.close()
        async with asyncio.timeout(DEADLINE):
            while not any("'gpu a100': use 1 to 64" in str(line) for line in lines):  # noqa: ASYNC110 (another task's)
                await asyncio.sleep(0.02)
        await bench.worker(svm_score)
        started = await coordinator.cross_validation(
            model_run_id=await bench.model_run(), scoring_metrics=["accuracy"]
        )
        ended = await bench.ended(started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED
    assert [line for line in lines if line["log_level"] in ("error", "critical")] == []

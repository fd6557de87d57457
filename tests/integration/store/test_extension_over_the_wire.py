"""Budgets and extensions over real gRPC: what a coordinator sends and a client reads."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from services.common.convert.plans import plan_to_proto
from services.common.rpc.client import open_channel
from services.common.rpc.status import from_rpc_error
from services.core.budget import Budget
from services.core.errors import AlreadyExists, InvalidRequest, NotFound, WrongState
from services.store.app import RunningStore
from tests.integration.store.scenario import Scenario, success
from tuning.v1 import (
    orchestration_pb2,
    plan_service_pb2,
    plan_service_pb2_grpc,
    run_service_pb2,
    run_service_pb2_grpc,
)

_SECONDS = 60.0
_RUNNING = orchestration_pb2.LIFECYCLE_STATE_RUNNING
_COMPLETED = orchestration_pb2.LIFECYCLE_STATE_COMPLETED


@pytest.fixture
async def plans(store: RunningStore) -> AsyncIterator[Any]:
    """The store's API for coordinators."""
    async with open_channel(store.internal_address) as channel:
        yield plan_service_pb2_grpc.PlanServiceStub(channel)


@pytest.fixture
async def runs(store: RunningStore) -> AsyncIterator[Any]:
    """The store's API for clients."""
    async with open_channel(store.address) as channel:
        yield run_service_pb2_grpc.RunServiceStub(channel)


def _key(body: bytes = b"body") -> plan_service_pb2.RequestKey:
    return plan_service_pb2.RequestKey(
        rpc="ExtendOrchestration", request_id=str(uuid.uuid4()), body_hash=body
    )


async def _error(call: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def _watched(runs: Any, request: run_service_pb2.WatchOrchestrationRequest) -> list[Any]:
    """Watches to the end."""
    return [
        event
        async for answer in runs.WatchOrchestration(request, timeout=_SECONDS)
        for event in answer.events.events
    ]


async def test_a_search_is_extended_watched_and_shown_with_its_budget(
    plans: Any, runs: Any, scenario: Scenario
) -> None:
    plan = await scenario.plan(
        methods=("random_search",),
        combinations=None,
        budget=Budget(max_trials=3, max_failed_trials=2, price_per_hour=1.5),
    )
    created = await plans.CreateOrchestration(plan_to_proto(plan, None, b"spec"), timeout=_SECONDS)
    orchestration = created.orchestration
    assert orchestration.budget == orchestration_pb2.Budget(
        max_trials=3, max_failed_trials=2, price_per_hour=1.5
    )
    assert (orchestration.worker_class, orchestration.priority) == ("default", 0)
    identifier = orchestration.orchestration_id
    (run,) = orchestration.stages[0].tuning_runs
    await scenario.queue(run.tuning_run_id, 3)
    await scenario.claim(await scenario.session(slots=3), run, range(3))
    await scenario.finish(*(success(identifier, number) for number in range(3)))
    await scenario.close(orchestration, run)

    watch = run_service_pb2.WatchOrchestrationRequest(orchestration_id=identifier, after_sequence=0)
    seen = await _watched(runs, watch)
    assert seen[-1].orchestration_changed.final

    request = plan_service_pb2.ExtendPlanRequest(
        key=_key(), orchestration_id=identifier, additional_trials=2, additional_failed_trials=1
    )
    for _ in range(2):
        answer = await plans.ExtendPlan(request, timeout=_SECONDS)
        extended = answer.orchestration
        assert (extended.state, extended.counts.total) == (_RUNNING, 5)
        assert (extended.budget.max_trials, extended.budget.max_failed_trials) == (5, 3)

    await scenario.queue(run.tuning_run_id, 5, first=3)
    await scenario.claim(await scenario.session(slots=3), run, [3, 4])
    await scenario.finish(*(success(identifier, number) for number in (3, 4)))
    await scenario.close(orchestration, run)
    # A watcher that had seen the end goes on to the new one, without a gap.
    watch.after_sequence = seen[-1].sequence
    later = await _watched(runs, watch)
    assert later[0].orchestration_reopened.total_trials == 5
    sequences = [event.sequence for event in (*seen, *later)]
    assert sequences == list(range(1, len(sequences) + 1))
    assert later[-1].orchestration_changed.state == _COMPLETED
    assert later[-1].orchestration_changed.final
    await scenario.check(identifier)


async def test_extensions_that_cannot_be_have_their_codes(plans: Any, scenario: Scenario) -> None:
    orchestration = await scenario.start()
    identifier = orchestration.orchestration_id
    extend = plan_service_pb2.ExtendPlanRequest

    async def error(**fields: Any) -> Any:
        return await _error(plans.ExtendPlan(extend(**fields), timeout=_SECONDS))

    refused = await error(orchestration_id=identifier)
    assert isinstance(refused, InvalidRequest)
    refused = await error(orchestration_id=identifier, additional_cost=-1.0, additional_trials=-1)
    assert isinstance(refused, InvalidRequest)
    assert len(refused.violations) == 2
    refused = await error(orchestration_id=identifier, additional_seconds=5.0)
    assert isinstance(refused, InvalidRequest)
    refused = await error(orchestration_id=identifier, additional_trials=1)
    assert isinstance(refused, WrongState)
    assert refused.reason == "METHOD_NOT_EXTENSIBLE"
    refused = await error(orchestration_id=str(uuid.uuid4()), additional_trials=1)
    assert isinstance(refused, NotFound)
    other = await scenario.start(methods=("random_search",), combinations=None)
    key = _key()
    await plans.ExtendPlan(
        extend(key=key, orchestration_id=other.orchestration_id, additional_trials=1),
        timeout=_SECONDS,
    )
    key.body_hash = b"other"
    refused = await error(key=key, orchestration_id=other.orchestration_id, additional_trials=2)
    assert isinstance(refused, AlreadyExists)

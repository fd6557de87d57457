"""A real store on a real Postgres, a broker in memory, and clients of both APIs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.protobuf import json_format

from services.common.messaging.memory import MemoryBroker
from services.common.rpc.client import open_channel
from services.coordinator.app import running_coordinator
from services.coordinator.settings import CoordinatorSettings
from services.core.space import Value
from services.store.app import RunningStore, running_store
from services.store.settings import StoreSettings
from tests.integration.coordinator.scoring_worker import (
    Score,
    ScoringWorker,
    scoring_worker,
)
from tuning.v1 import (
    event_pb2,
    model_service_pb2_grpc,
    orchestration_pb2,
    orchestration_service_pb2_grpc,
    run_service_pb2,
    run_service_pb2_grpc,
    trial_pb2,
    tuning_service_pb2_grpc,
)
from tuning.v1 import model_service_pb2 as models_pb
from tuning.v1 import orchestration_service_pb2 as orchestrations_pb
from tuning.v1 import tuning_service_pb2 as tunings_pb

# The first suggestion of a model waits for a process that imports what it needs: on a busy machine a minute.
DEADLINE = 240.0
_SUGGESTION_SECONDS = 600.0

State = orchestration_pb2.LifecycleState


def settings_for(store: RunningStore) -> CoordinatorSettings:
    return CoordinatorSettings(
        coordinator_listen="127.0.0.1:0",
        store_address=store.address,
        store_internal_address=store.internal_address,
        suggestion_timeout_seconds=_SUGGESTION_SECONDS,
    )


@dataclass(kw_only=True)
class Bench:
    """Starts coordinators and workers beside one store, and asks both APIs as a client does."""

    store: RunningStore
    broker: MemoryBroker
    stack: AsyncExitStack
    runs: Any
    models: Any
    model_runs: dict[str, str] = field(default_factory=dict)
    store_stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def stop_store(self) -> None:
        """Stops the store, as SIGTERM does."""
        await self.store_stack.aclose()

    async def coordinator(self) -> Coordinator:
        """Starts a coordinator and gives a client of it; it stops with the test, or before."""
        own = AsyncExitStack()
        self.stack.push_async_callback(own.aclose)
        running = await own.enter_async_context(
            running_coordinator(settings_for(self.store), self.broker)
        )
        channel = await own.enter_async_context(open_channel(running.address))
        return Coordinator(
            stack=own, channel=channel, monitoring_address=running.monitoring_address
        )

    async def worker(self, score: Score, *, slots: int = 2, held: bool = False) -> ScoringWorker:
        """Starts a worker; with `held`, trials end only when allowed to."""
        return await self.stack.enter_async_context(
            scoring_worker(
                self.store.internal_address, self.broker, score=score, slots=slots, held=held
            )
        )

    async def model_run(
        self, model_type: str = "svm_classifier", dataset: str = "sklearn:iris", **fixed: object
    ) -> str:
        """Creates a model run."""
        request = json_format.ParseDict(
            {"dataset_id": dataset, "model_type": model_type, "fixed_parameters": fixed},
            models_pb.CreateModelRunRequest(),
        )
        created = await self.models.CreateModelRun(request, timeout=60)
        return str(created.model_run.model_run_id)

    async def get(self, orchestration_id: str) -> orchestration_pb2.Orchestration:
        request = run_service_pb2.GetOrchestrationRequest(orchestration_id=orchestration_id)
        answer: run_service_pb2.GetOrchestrationResponse = await self.runs.GetOrchestration(
            request, timeout=60
        )
        return answer.orchestration

    async def trials(self, orchestration_id: str) -> list[trial_pb2.Trial]:
        found: list[trial_pb2.Trial] = []
        token = ""
        while True:
            request = run_service_pb2.ListTrialsRequest(
                orchestration_id=orchestration_id, page_size=1000, page_token=token
            )
            page = await self.runs.ListTrials(request, timeout=60)
            found.extend(page.trials)
            token = page.next_page_token
            if not token:
                return found

    async def refinements(self, orchestration_id: str) -> list[Any]:
        request = run_service_pb2.ListRefinementsRequest(orchestration_id=orchestration_id)
        return list((await self.runs.ListRefinements(request, timeout=60)).refinements)

    async def events(self, orchestration_id: str) -> list[event_pb2.Event]:
        """The whole log; waits for its end."""
        request = run_service_pb2.WatchOrchestrationRequest(
            orchestration_id=orchestration_id, after_sequence=0
        )
        found: list[event_pb2.Event] = []
        async with asyncio.timeout(DEADLINE):
            async for response in self.runs.WatchOrchestration(request):
                found.extend(response.events.events)
        assert [event.sequence for event in found] == [*range(1, len(found) + 1)]
        return found

    async def ended(self, orchestration_id: str) -> orchestration_pb2.Orchestration:
        """Waits for the end."""
        await self.events(orchestration_id)
        return await self.get(orchestration_id)

    async def until(
        self,
        orchestration_id: str,
        condition: Callable[[orchestration_pb2.Orchestration], bool],
    ) -> orchestration_pb2.Orchestration:
        """Looks until a condition holds."""
        async with asyncio.timeout(DEADLINE):
            while True:
                orchestration = await self.get(orchestration_id)
                if condition(orchestration):
                    return orchestration
                await asyncio.sleep(0.02)


@dataclass(kw_only=True)
class Coordinator:
    """A running coordinator as its clients see it."""

    stack: AsyncExitStack
    channel: Any
    monitoring_address: str = ""

    async def stop(self) -> None:
        """Stops it, as SIGTERM does."""
        await self.stack.aclose()

    async def progressive(self, **fields: object) -> orchestration_pb2.Orchestration:
        return await self._start(
            orchestration_service_pb2_grpc.OrchestrationServiceStub(
                self.channel
            ).StartProgressiveSearch,
            orchestrations_pb.StartProgressiveSearchRequest(),
            fields,
        )

    async def comparison(self, **fields: object) -> orchestration_pb2.Orchestration:
        return await self._start(
            orchestration_service_pb2_grpc.OrchestrationServiceStub(
                self.channel
            ).StartMultiModelComparison,
            orchestrations_pb.StartMultiModelComparisonRequest(),
            fields,
        )

    async def plan(self, **fields: object) -> orchestration_pb2.Orchestration:
        return await self._start(
            orchestration_service_pb2_grpc.OrchestrationServiceStub(self.channel).StartPlan,
            orchestrations_pb.StartPlanRequest(),
            fields,
        )

    async def tuning(self, **fields: object) -> orchestration_pb2.Orchestration:
        return await self._start(
            tuning_service_pb2_grpc.TuningServiceStub(self.channel).StartTuning,
            tunings_pb.StartTuningRequest(),
            fields,
        )

    async def cross_validation(self, **fields: object) -> orchestration_pb2.Orchestration:
        return await self._start(
            tuning_service_pb2_grpc.TuningServiceStub(self.channel).StartCrossValidation,
            tunings_pb.StartCrossValidationRequest(),
            fields,
        )

    async def steer(self, rpc: str, orchestration_id: str) -> orchestration_pb2.Orchestration:
        """Calls TriggerNextStage, PauseOrchestration, ResumeOrchestration or CancelOrchestration."""
        stub: Any = orchestration_service_pb2_grpc.OrchestrationServiceStub(self.channel)
        request = getattr(orchestrations_pb, f"{rpc}Request")(orchestration_id=orchestration_id)
        found: orchestration_pb2.Orchestration = (
            await getattr(stub, rpc)(request, timeout=60)
        ).orchestration
        return found

    async def extend(
        self, orchestration_id: str, **additions: object
    ) -> orchestration_pb2.Orchestration:
        """Adds to an orchestration."""
        return await self._start(
            orchestration_service_pb2_grpc.OrchestrationServiceStub(
                self.channel
            ).ExtendOrchestration,
            orchestrations_pb.ExtendOrchestrationRequest(),
            {"orchestration_id": orchestration_id, **additions},
        )

    @staticmethod
    async def _start(
        method: Any, request: Any, fields: Mapping[str, object]
    ) -> orchestration_pb2.Orchestration:
        answer = await method(json_format.ParseDict(dict(fields), request), timeout=60)
        found: orchestration_pb2.Orchestration = answer.orchestration
        return found


@pytest.fixture
async def bench(fresh_postgres_dsn: str) -> AsyncIterator[Bench]:
    """A store with an empty database; everything started on the bench stops with the test."""
    async with AsyncExitStack() as stack:
        store_stack = await stack.enter_async_context(AsyncExitStack())
        store = await store_stack.enter_async_context(
            running_store(
                StoreSettings(
                    postgres_dsn=fresh_postgres_dsn,
                    store_listen="127.0.0.1:0",
                    store_internal_listen="127.0.0.1:0",
                    drain_seconds=1.0,
                )
            )
        )
        broker = await stack.enter_async_context(MemoryBroker())
        channel = await stack.enter_async_context(open_channel(store.address))
        yield Bench(
            store=store,
            broker=broker,
            stack=stack,
            runs=run_service_pb2_grpc.RunServiceStub(channel),
            models=model_service_pb2_grpc.ModelServiceStub(channel),
            store_stack=store_stack,
        )


def svm_score(parameters: Mapping[str, Value]) -> float:
    """Smooth and deterministic; best at C = 20 and gamma = 0.05."""
    cost, gamma = parameters.get("C", 1.0), parameters.get("gamma", 0.1)
    score = 1.0
    if isinstance(cost, int | float):
        score -= abs(float(cost) - 20.0) / 1_000
    if isinstance(gamma, int | float):
        score -= abs(float(gamma) - 0.05) / 10
    return score

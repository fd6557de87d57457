"""One request id runs from a client through coordinator and store into the events it brings about."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from services.common import request_ids
from services.common.messaging.port import Disposition
from services.common.rpc.client import open_channel
from tests.integration.coordinator.conftest import Bench, Coordinator, svm_score
from tuning.v1 import (
    orchestration_service_pb2,
    orchestration_service_pb2_grpc,
    task_messages_pb2,
    trial_service_pb2,
    trial_service_pb2_grpc,
)
from tuning.v1 import tuning_service_pb2 as tunings_pb
from tuning.v1 import tuning_service_pb2_grpc as tunings_grpc


def _named(request_id: str) -> dict[str, Any]:
    return {"metadata": ((request_ids.HEADER, request_id),), "timeout": 60}


async def _start(bench: Bench, coordinator: Coordinator, request_id: str | None) -> str:
    stub: Any = tunings_grpc.TuningServiceStub(coordinator.channel)
    request = tunings_pb.StartTuningRequest(
        model_run_id=await bench.model_run(), tuning_method="random_search", n_iter=4
    )
    request.param_grid["C"].extend([1, 10, 100])
    request.param_grid["gamma"].extend([0.01, 0.1])
    options = _named(request_id) if request_id is not None else {"timeout": 60}
    return str((await stub.StartTuning(request, **options)).orchestration.orchestration_id)


async def test_events_name_the_request_behind_them_and_none_where_there_is_none(
    bench: Bench,
) -> None:
    coordinator = await bench.coordinator()
    worker = await bench.worker(svm_score, held=True)
    started = await _start(bench, coordinator, "the-start")
    worker.allow(1)
    await bench.until(started, lambda now: now.counts.completed == 1)
    stub: Any = orchestration_service_pb2_grpc.OrchestrationServiceStub(coordinator.channel)
    for rpc, name in (
        ("PauseOrchestration", "the-pause"),
        ("ResumeOrchestration", "the-resumption"),
    ):
        request = getattr(orchestration_service_pb2, f"{rpc}Request")(orchestration_id=started)
        await getattr(stub, rpc)(request, **_named(name))
    worker.let_go()
    kinds: dict[str, set[str]] = {}
    for event in await bench.events(started):
        kinds.setdefault(event.request_id, set()).add(str(event.WhichOneof("payload")))
    assert set(kinds) == {"the-start", "the-pause", "the-resumption", ""}
    assert "orchestration_changed" in kinds["the-start"] & kinds["the-pause"]
    # What workers report and what the search decides came about by itself.
    assert kinds[""] >= {"trials_queued", "trial_finished", "orchestration_changed"}
    assert not {"trials_queued", "trial_finished"} & kinds["the-start"]


async def test_without_one_the_server_makes_an_id_up_and_says_it(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    started = await _start(bench, coordinator, None)
    stub: Any = orchestration_service_pb2_grpc.OrchestrationServiceStub(coordinator.channel)
    call = stub.CancelOrchestration(
        orchestration_service_pb2.CancelOrchestrationRequest(orchestration_id=started), timeout=60
    )
    await call
    told = dict(await call.trailing_metadata())[request_ids.HEADER]
    assert (await bench.events(started))[-1].request_id == told


async def test_a_refusal_by_the_store_keeps_the_clients_id(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    stub: Any = orchestration_service_pb2_grpc.OrchestrationServiceStub(coordinator.channel)
    request = orchestration_service_pb2.CancelOrchestrationRequest(
        orchestration_id="00000000-0000-0000-0000-000000000000"
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.CancelOrchestration(request, **_named("my-refusal"))
    metadata: Any = caught.value.trailing_metadata()
    assert dict(metadata)[request_ids.HEADER] == "my-refusal"


async def test_messages_to_workers_name_the_request_that_started_the_search(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    bodies: asyncio.Queue[bytes] = asyncio.Queue()

    async def take(body: bytes) -> Disposition:
        await bodies.put(body)
        return Disposition.ACK

    async with (
        open_channel(bench.store.internal_address) as channel,
        bench.broker.consume("default", prefetch=1, handler=take),
    ):
        stub: Any = trial_service_pb2_grpc.TrialServiceStub(channel)
        await stub.RegisterSession(
            trial_service_pb2.RegisterSessionRequest(worker_name="w", slots=2), timeout=60
        )
        started = await _start(bench, coordinator, "the-start")
        body = await asyncio.wait_for(bodies.get(), 60)
    batch = task_messages_pb2.TrialBatch.FromString(body)
    assert (batch.orchestration_id, batch.request_id) == (started, "the-start")

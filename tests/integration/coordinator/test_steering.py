"""Cancel, pause, resume and the next stage by hand."""

from __future__ import annotations

import grpc
import pytest
from grpc.aio import AioRpcError

from services.common.rpc.status import from_rpc_error
from services.core.errors import NotFound, WrongState
from tests.integration.coordinator.conftest import Bench, Coordinator, State, svm_score
from tests.integration.coordinator.scoring_worker import ScoringWorker
from tuning.v1 import orchestration_pb2

GRID = {"C": [0.1, 1, 10, 100], "gamma": [0.001, 0.01, 0.1]}


async def begin(
    bench: Bench, coordinator: Coordinator, worker: ScoringWorker, done: int
) -> orchestration_pb2.Orchestration:
    """Starts a progressive search and lets some trials of its grid end."""
    started = await coordinator.progressive(
        model_run_id=await bench.model_run(),
        initial_param_grid=GRID,
        n_iter_random=6,
        n_iter_bayesian=4,
    )
    worker.allow(done)
    return await bench.until(started.orchestration_id, lambda now: now.counts.completed == done)


async def test_a_cancelled_search_ends_at_once_and_twice_is_once(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    worker = await bench.worker(svm_score, held=True)
    running = await begin(bench, coordinator, worker, 3)
    cancelled = await coordinator.steer("CancelOrchestration", running.orchestration_id)
    assert cancelled.state == State.LIFECYCLE_STATE_CANCELLED
    assert cancelled.counts.succeeded == 3
    assert cancelled.counts.queued == cancelled.counts.running == 0
    again = await coordinator.steer("CancelOrchestration", running.orchestration_id)
    assert again.last_sequence == cancelled.last_sequence
    with pytest.raises(AioRpcError) as refusal:
        await coordinator.steer("ResumeOrchestration", running.orchestration_id)
    assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_paused_search_creates_nothing_and_goes_on_where_it_was(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    worker = await bench.worker(svm_score, held=True)
    running = await begin(bench, coordinator, worker, 5)
    paused = await coordinator.steer("PauseOrchestration", running.orchestration_id)
    assert paused.state == State.LIFECYCLE_STATE_PAUSED
    worker.let_go()
    # What runs is finished; nothing else is handed out, and the stage does not end.
    rest = await bench.until(paused.orchestration_id, lambda now: now.counts.running == 0)
    assert rest.state == State.LIFECYCLE_STATE_PAUSED
    assert rest.counts.succeeded < 12
    resumed = await coordinator.steer("ResumeOrchestration", running.orchestration_id)
    assert resumed.state == State.LIFECYCLE_STATE_RUNNING
    ended = await bench.ended(running.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED
    assert [stage.counts.succeeded for stage in ended.stages] == [12, 6, 4]


async def test_the_next_stage_by_hand_rests_on_what_is_known(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    worker = await bench.worker(svm_score, held=True)
    running = await begin(bench, coordinator, worker, 5)
    triggered = await coordinator.steer("TriggerNextStage", running.orchestration_id)
    first, second, _ = triggered.stages
    assert (first.state, first.reason) == (State.LIFECYCLE_STATE_COMPLETED, "MANUAL")
    assert (first.counts.succeeded, first.counts.cancelled) == (5, 7)
    assert second.state == State.LIFECYCLE_STATE_RUNNING
    (refinement,) = await bench.refinements(running.orchestration_id)
    assert len(refinement.evidence_trial_numbers) >= 3
    worker.let_go()
    ended = await bench.ended(running.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED
    assert [stage.counts.succeeded for stage in ended.stages] == [5, 6, 4]


async def test_the_last_stage_by_hand_ends_the_search(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    worker = await bench.worker(svm_score, held=True)
    started = await coordinator.tuning(model_run_id=await bench.model_run(), param_grid=GRID)
    worker.allow(2)
    await bench.until(started.orchestration_id, lambda now: now.counts.succeeded == 2)
    ended = await coordinator.steer("TriggerNextStage", started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED
    assert (ended.counts.succeeded, ended.counts.cancelled) == (2, 10)


async def test_a_comparison_ended_by_hand_keeps_what_succeeded(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    worker = await bench.worker(svm_score, slots=1, held=True)
    ids = [await bench.model_run(), await bench.model_run("decision_tree_classifier")]
    started = await coordinator.comparison(
        model_run_ids=ids,
        param_grids={ids[0]: {"C": [1, 10, 20]}, ids[1]: {"max_depth": [2, 3]}},
        parallel=False,
    )
    worker.allow(1)
    await bench.until(started.orchestration_id, lambda now: now.counts.succeeded == 1)
    ended = await coordinator.steer("TriggerNextStage", started.orchestration_id)
    assert ended.state == State.LIFECYCLE_STATE_COMPLETED
    states = [run.state for run in ended.stages[0].tuning_runs]
    assert states == [State.LIFECYCLE_STATE_COMPLETED, State.LIFECYCLE_STATE_FAILED]


async def test_a_stage_without_a_success_cannot_be_ended_by_hand(bench: Bench) -> None:
    coordinator = await bench.coordinator()
    started = await coordinator.progressive(
        model_run_id=await bench.model_run(), initial_param_grid=GRID
    )
    with pytest.raises(AioRpcError) as refusal:
        await coordinator.steer("TriggerNextStage", started.orchestration_id)
    error = from_rpc_error(refusal.value)
    assert isinstance(error, WrongState)
    assert error.reason == "NO_SUCCESS_YET"
    # As people see it, though `stage_index` counts from 0.
    assert error.message.startswith("stage 1 (")
    await coordinator.steer("PauseOrchestration", started.orchestration_id)
    with pytest.raises(AioRpcError) as paused:
        await coordinator.steer("TriggerNextStage", started.orchestration_id)
    assert "resume it first" in str(from_rpc_error(paused.value))


@pytest.mark.parametrize(
    "rpc",
    ["TriggerNextStage", "PauseOrchestration", "ResumeOrchestration", "CancelOrchestration"],
)
@pytest.mark.parametrize("orchestration_id", ["", "x", "00000000-0000-0000-0000-000000000000"])
async def test_what_does_not_exist_is_not_found(
    bench: Bench, rpc: str, orchestration_id: str
) -> None:
    coordinator = await bench.coordinator()
    with pytest.raises(AioRpcError) as refusal:
        await coordinator.steer(rpc, orchestration_id)
    assert isinstance(from_rpc_error(refusal.value), NotFound)

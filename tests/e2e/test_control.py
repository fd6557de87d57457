"""Requests that are repeated, and orchestrations that are steered while they run."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import grpc
import pytest

from tests.support.clients import Client
from tuning.v1 import (
    orchestration_pb2,
    orchestration_service_pb2,
    run_service_pb2,
    trial_pb2,
)

COMPLETED = orchestration_pb2.LIFECYCLE_STATE_COMPLETED
RUNNING = orchestration_pb2.LIFECYCLE_STATE_RUNNING
PAUSED = orchestration_pb2.LIFECYCLE_STATE_PAUSED
CANCELLED = orchestration_pb2.LIFECYCLE_STATE_CANCELLED


def _body(client: Client, **fields: Any) -> dict[str, Any]:
    model_run_id = client.create_model_run("sklearn:iris", "decision_tree_classifier")
    return {
        "model_run_id": model_run_id,
        "initial_param_grid": {"max_depth": [1, 2, 3]},
        "n_iter_random": 3,
        "n_iter_bayesian": 3,
        "cv_folds": 3,
        **fields,
    }


def _long_body(client: Client) -> dict[str, Any]:
    """A search of some forty trials of a third of a second and more."""
    model_run_id = client.create_model_run("sklearn:digits", "random_forest_classifier")
    return {
        "model_run_id": model_run_id,
        "initial_param_grid": {"n_estimators": [40, 50, 60, 70], "max_depth": [6, 8, 10, 12, 14]},
        "n_iter_random": 4,
        "n_iter_bayesian": 4,
        "cv_folds": 3,
    }


def _pause(client: Client, orchestration_id: str) -> orchestration_pb2.Orchestration:
    request = orchestration_service_pb2.PauseOrchestrationRequest(orchestration_id=orchestration_id)
    return client.orchestrations.PauseOrchestration(request).orchestration


def _resume(client: Client, orchestration_id: str) -> orchestration_pb2.Orchestration:
    request = orchestration_service_pb2.ResumeOrchestrationRequest(
        orchestration_id=orchestration_id
    )
    return client.orchestrations.ResumeOrchestration(request).orchestration


def _cancel(client: Client, orchestration_id: str) -> orchestration_pb2.Orchestration:
    request = orchestration_service_pb2.CancelOrchestrationRequest(
        orchestration_id=orchestration_id
    )
    return client.orchestrations.CancelOrchestration(request).orchestration


def test_a_request_repeated_under_its_id_gives_the_same_answer(client: Client) -> None:
    body = _body(client, request_id=str(uuid.uuid4()))
    first = client.start_progressive_search(body)
    assert client.start_progressive_search(body).orchestration_id == first.orchestration_id
    with pytest.raises(grpc.RpcError) as caught:
        client.start_progressive_search({**body, "n_iter_random": 4})
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS

    client.wait_for_end(first.orchestration_id)
    # Also long after: the answer is the search as it is now.
    again = client.start_progressive_search(body)
    assert (again.orchestration_id, again.state) == (first.orchestration_id, COMPLETED)
    other = client.start_progressive_search({**body, "request_id": str(uuid.uuid4())})
    assert other.orchestration_id != first.orchestration_id
    client.wait_for_end(other.orchestration_id)


def test_a_study_name_belongs_to_one_search(client: Client) -> None:
    body = _body(client, study_name=f"trees {uuid.uuid4().hex[:8]}")
    first = client.start_progressive_search(body)
    assert client.start_progressive_search(body).orchestration_id == first.orchestration_id
    with pytest.raises(grpc.RpcError) as caught:
        client.start_progressive_search({**body, "cv_folds": 4})
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    listed = client.runs.ListOrchestrations(
        run_service_pb2.ListOrchestrationsRequest(study_name=body["study_name"])
    ).orchestrations
    assert [each.orchestration_id for each in listed] == [first.orchestration_id]
    client.wait_for_end(first.orchestration_id)


def test_validate_only_gives_the_plan_and_creates_nothing(client: Client) -> None:
    body = _body(client, study_name=f"plan {uuid.uuid4().hex[:8]}", validate_only=True)
    plan = client.start_progressive_search(body)
    assert plan.orchestration_id == ""
    assert [stage.method for stage in plan.stages] == ["grid_search", "random_search", "bayesian"]
    listed = client.runs.ListOrchestrations(
        run_service_pb2.ListOrchestrationsRequest(study_name=body["study_name"])
    ).orchestrations
    assert not listed


def test_a_pause_stops_new_trials_until_the_search_is_resumed(client: Client) -> None:
    started = client.start_progressive_search(_long_body(client))
    orchestration_id = started.orchestration_id
    client.await_event(orchestration_id, "trial_finished", count=2)
    assert _pause(client, orchestration_id).state == PAUSED
    assert _pause(client, orchestration_id).state == PAUSED

    # Trials that run are finished; then nothing more is.
    after = client.get(orchestration_id).last_sequence
    seen = [event.sequence for event in _events_until_quiet(client, orchestration_id)]
    paused = client.get(orchestration_id)
    assert paused.state == PAUSED
    assert paused.counts.running == 0
    assert paused.counts.completed < paused.counts.total
    assert max(seen, default=after) >= after

    assert _resume(client, orchestration_id).state == RUNNING
    ended = client.wait_for_end(orchestration_id)
    assert ended.state == COMPLETED
    assert ended.counts.succeeded == 28


def _events_until_quiet(client: Client, orchestration_id: str) -> list[Any]:
    """Follows a paused search until no trial runs."""
    found = []
    for event in client.events(orchestration_id):
        found.append(event)
        now = client.get(orchestration_id)
        if now.counts.running == 0 and event.sequence >= now.last_sequence:
            break
    return found


def test_a_cancelled_search_ends_at_once_and_keeps_what_it_found(client: Client) -> None:
    started = client.start_progressive_search(_long_body(client))
    orchestration_id = started.orchestration_id
    client.await_event(orchestration_id, "trial_finished", count=2)
    assert _cancel(client, orchestration_id).state == CANCELLED
    assert _cancel(client, orchestration_id).state == CANCELLED

    ended = client.wait_for_end(orchestration_id, timeout=60)
    counts = ended.counts
    assert (counts.queued, counts.running) == (0, 0)
    assert counts.succeeded >= 2
    assert counts.completed == counts.succeeded + counts.cancelled
    trials = client.trials(orchestration_id)
    assert {trial.state for trial in trials} <= {
        trial_pb2.TRIAL_STATE_SUCCEEDED,
        trial_pb2.TRIAL_STATE_CANCELLED,
    }
    with pytest.raises(grpc.RpcError) as caught:
        _resume(client, orchestration_id)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    with pytest.raises(grpc.RpcError) as caught:
        client.best_model(orchestration_id)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    so_far = client.runs.GetBestModel(
        run_service_pb2.GetBestModelRequest(orchestration_id=orchestration_id, best_so_far=True)
    )
    assert not so_far.complete
    assert so_far.best.score == max(
        trial.score for trial in trials if trial.state == trial_pb2.TRIAL_STATE_SUCCEEDED
    )


def test_a_trigger_ends_the_running_stage_and_starts_the_next(client: Client) -> None:
    started = client.start_progressive_search(_long_body(client))
    orchestration_id = started.orchestration_id
    client.await_event(orchestration_id, "trial_finished", count=4)
    request = orchestration_service_pb2.TriggerNextStageRequest(orchestration_id=orchestration_id)
    after = client.orchestrations.TriggerNextStage(request).orchestration
    assert after.stages[0].state == COMPLETED
    assert after.stages[0].reason == "MANUAL"
    assert after.stages[1].state == RUNNING

    ended = client.wait_for_end(orchestration_id)
    assert ended.state == COMPLETED
    assert ended.stages[0].counts.cancelled >= 1
    assert [stage.counts.succeeded for stage in ended.stages[1:]] == [4, 4]
    assert len(client.refinements(orchestration_id)) == 2
    with pytest.raises(grpc.RpcError) as caught:
        client.orchestrations.TriggerNextStage(request)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_no_more_trials_run_at_once_than_allowed(client: Client) -> None:
    started = client.start_tuning(
        {
            "model_run_id": client.create_model_run("sklearn:digits", "random_forest_classifier"),
            "param_grid": {"n_estimators": [30, 40, 50], "max_depth": [6, 8]},
            "cv_folds": 3,
            "max_concurrent_trials": 1,
        }
    )
    assert client.wait_for_end(started.orchestration_id).state == COMPLETED
    spans = sorted(
        (trial.started_at.ToNanoseconds(), trial.finished_at.ToNanoseconds())
        for trial in client.trials(started.orchestration_id)
    )
    assert len(spans) == 6
    for (_, earlier_end), (later_start, _) in itertools.pairwise(spans):
        assert earlier_end <= later_start

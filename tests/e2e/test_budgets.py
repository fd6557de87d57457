"""Budgets, studies that go on under their name, and extensions, seen from a client."""

from __future__ import annotations

import uuid
from typing import Any

import grpc
import pytest

from tests.support.clients import Client, error_reason, violations
from tests.support.clusters import ClusterStarter
from tuning.v1 import (
    orchestration_pb2,
    orchestration_service_pb2,
    search_space_pb2,
)

COMPLETED = orchestration_pb2.LIFECYCLE_STATE_COMPLETED
FAILED = orchestration_pb2.LIFECYCLE_STATE_FAILED
VALUES = [round(0.01 * 1.3**step, 4) for step in range(30)]


def _study(client: Client, name: str, **fields: Any) -> dict[str, Any]:
    """A random search over 900 points."""
    model_run_id = client.create_model_run(
        "sklearn:iris", "svm_classifier", preprocessing=[{"type": "standard_scaler"}]
    )
    return {
        "model_run_id": model_run_id,
        "tuning_method": "random_search",
        "param_grid": {"C": VALUES, "gamma": VALUES},
        "cv_folds": 3,
        "study_name": name,
        **fields,
    }


def _extend(
    client: Client, orchestration_id: str, **additions: Any
) -> orchestration_pb2.Orchestration:
    request = orchestration_service_pb2.ExtendOrchestrationRequest(
        orchestration_id=orchestration_id, **additions
    )
    return client.orchestrations.ExtendOrchestration(request).orchestration


def _parameters(client: Client, orchestration_id: str) -> list[search_space_pb2.Assignment]:
    return [trial.parameters for trial in client.trials(orchestration_id)]


def test_a_study_goes_on_under_its_name_and_an_extension_adds_exactly_its_trials(
    client: Client,
) -> None:
    body = _study(client, f"study {uuid.uuid4()}")
    first = client.wait_for_end(client.start_tuning({**body, "n_iter": 10}).orchestration_id)
    identifier = first.orchestration_id
    assert (first.state, first.counts.succeeded, first.reason) == (COMPLETED, 10, "COMPLETED")
    before = _parameters(client, identifier)

    again = client.start_tuning({**body, "n_iter": 20})
    assert again.orchestration_id == identifier
    ended = client.wait_for_end(identifier)
    assert (ended.state, ended.counts.total, ended.counts.succeeded) == (COMPLETED, 20, 20)
    # Trials 11 to 20 are new ones; what was known stays.
    points = _parameters(client, identifier)
    assert points[:10] == before
    assert len({str(each) for each in points}) == 20
    # Asking again adds none, and neither does asking for less.
    for n_iter in (20, 10):
        same = client.start_tuning({**body, "n_iter": n_iter})
        assert (same.state, same.last_sequence) == (COMPLETED, ended.last_sequence)

    request_id = str(uuid.uuid4())
    for _ in range(2):
        _extend(client, identifier, additional_trials=5, request_id=request_id)
    ended = client.wait_for_end(identifier)
    assert (ended.state, ended.counts.total, ended.counts.succeeded) == (COMPLETED, 25, 25)
    assert [trial.number for trial in client.trials(identifier)] == list(range(25))
    _extend(client, identifier, additional_trials=5, request_id=request_id)
    assert client.get(identifier).counts.total == 25

    with pytest.raises(grpc.RpcError) as refusal:
        client.start_tuning({**body, "n_iter": 30, "cv_folds": 4})
    assert refusal.value.code() is grpc.StatusCode.ALREADY_EXISTS


def test_an_extension_while_it_runs_is_exact_too(client: Client) -> None:
    body = _study(client, f"study {uuid.uuid4()}", n_iter=12)
    identifier = client.start_tuning(body).orchestration_id
    client.await_event(identifier, "trial_finished", count=2)
    _extend(client, identifier, additional_trials=4)
    _extend(client, identifier, additional_trials=3)
    ended = client.wait_for_end(identifier)
    assert (ended.state, ended.counts.total, ended.counts.succeeded) == (COMPLETED, 19, 19)


@pytest.mark.slow
def test_six_workers_and_twenty_trials_give_exactly_twenty(cluster_starter: ClusterStarter) -> None:
    cluster = cluster_starter.start(worker_count=6)
    client = Client(
        store_address=cluster.store_address, coordinator_address=cluster.coordinator_address
    )
    subjects = [
        client.create_model_run("sklearn:iris", model)
        for model in ("decision_tree_classifier", "k_neighbors_classifier")
    ]
    body = {
        "model_run_ids": subjects,
        "tuning_method": "random_search",
        "n_iter": 40,
        "param_grids": {
            subjects[0]: {"max_depth": list(range(1, 41)), "min_samples_leaf": [1, 2, 3]},
            subjects[1]: {"n_neighbors": list(range(1, 41)), "p": [1, 2]},
        },
        "cv_folds": 3,
        "study_name": "twenty",
        "budget": {"max_trials": 20},
    }
    identifier = client.start_comparison(body).orchestration_id
    ended = client.wait_for_end(identifier)
    assert ended.state == COMPLETED
    assert ended.reason == "BUDGET_SPENT"
    assert ended.counts.completed == ended.counts.succeeded == 20
    assert [trial.number for trial in client.trials(identifier)] == list(range(20))
    again = client.start_comparison(body)
    assert (again.orchestration_id, again.last_sequence) == (identifier, ended.last_sequence)

    # More of the same: both go on where they were.
    client.start_comparison({**body, "budget": {"max_trials": 26}})
    ended = client.wait_for_end(identifier)
    assert (ended.state, ended.counts.succeeded) == (COMPLETED, 26)
    client.close()


def test_a_plan_ends_with_its_trials_and_goes_on_where_it_was(client: Client) -> None:
    started = client.start_progressive_search(
        {
            "model_run_id": client.create_model_run("sklearn:iris", "decision_tree_classifier"),
            "initial_param_grid": {"min_samples_split": [2, 40, 80]},
            "n_iter_random": 6,
            "n_iter_bayesian": 6,
            "cv_folds": 3,
            "budget": {"max_trials": 7},
        }
    )
    identifier = started.orchestration_id
    ended = client.wait_for_end(identifier)
    assert (ended.state, ended.reason) == (COMPLETED, "BUDGET_SPENT")
    assert [stage.counts.succeeded for stage in ended.stages] == [3, 4, 0]
    assert _extend(client, identifier, additional_trials=4).budget.max_trials == 11
    ended = client.wait_for_end(identifier)
    assert [stage.counts.succeeded for stage in ended.stages] == [3, 6, 2]
    assert [trial.number for trial in client.trials(identifier)] == list(range(11))
    events = list(client.events(identifier))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))


def test_a_deadline_ends_a_search_and_more_time_lets_it_go_on(client: Client) -> None:
    model_run_id = client.create_model_run("sklearn:digits", "random_forest_classifier")
    started = client.start_tuning(
        {
            "model_run_id": model_run_id,
            "tuning_method": "random_search",
            "param_grid": {"n_estimators": list(range(100, 200)), "max_depth": [8, 12, None]},
            "n_iter": 200,
            "budget": {"max_seconds": 4},
        }
    )
    ended = client.wait_for_end(started.orchestration_id)
    assert ended.reason == "DEADLINE_REACHED"
    assert ended.state in (COMPLETED, FAILED)
    assert 4 <= ended.used.active_seconds < 60
    assert ended.counts.queued == ended.counts.running == 0
    assert "additional_seconds" in ended.message
    reached = ended.counts.succeeded

    _extend(client, started.orchestration_id, additional_seconds=120)
    client.await_event(started.orchestration_id, "orchestration_reopened")
    for event in client.events(started.orchestration_id, ended.last_sequence):
        if event.WhichOneof("payload") == "trial_finished":
            break
    cancelled = client.cancel(started.orchestration_id)
    assert cancelled.counts.succeeded > reached
    assert cancelled.budget.max_seconds == 124


def test_one_failed_trial_too_many_ends_a_search_as_failed(client: Client) -> None:
    model_run_id = client.create_model_run("sklearn:iris", "k_neighbors_classifier")
    started = client.start_tuning(
        {
            "model_run_id": model_run_id,
            # Of 100 rows in two of three folds: what is above them fails.
            "param_grid": {"n_neighbors": [3, *range(120, 150)]},
            "cv_folds": 3,
            "budget": {"max_failed_trials": 2},
        }
    )
    ended = client.wait_for_end(started.orchestration_id)
    assert (ended.state, ended.reason) == (FAILED, "TOO_MANY_FAILURES")
    # Those reported together with the third had run already; no other is run.
    assert 3 <= ended.counts.failed < 30
    assert ended.counts.completed == ended.counts.total
    assert ended.counts.queued == ended.counts.running == 0


def test_a_cost_limit_is_never_passed(client: Client) -> None:
    # Twenty-one and a half seconds are paid for, and a trial must be able to pay for twenty before it starts.
    body = _study(
        client,
        f"study {uuid.uuid4()}",
        n_iter=900,
        budget={"max_cost": 2.15, "price_per_hour": 360, "trial_timeout_seconds": 20},
    )
    ended = client.wait_for_end(client.start_tuning(body).orchestration_id)
    assert (ended.state, ended.reason) == (COMPLETED, "COST_SPENT")
    assert 0 < ended.counts.succeeded < 900
    assert 0 < ended.used.cost <= 2.15
    assert ended.used.reserved_cost == 0


def test_what_stopped_trials_reserved_is_free_at_once_and_an_extension_goes_on(
    client: Client,
) -> None:
    # Minutes of work each, and money for two: kept until their wall limits, it would let no other start.
    started = client.start_tuning(
        {
            "model_run_id": client.create_model_run("sklearn:digits", "random_forest_classifier"),
            "tuning_method": "random_search",
            "param_grid": {"n_estimators": list(range(80_000, 80_100))},
            "n_iter": 2,
            "budget": {
                # Time for both to start, however busy the machine.
                "max_seconds": 12,
                "max_cost": 125,
                "price_per_hour": 360,
                "trial_timeout_seconds": 600,
            },
        }
    )
    identifier = started.orchestration_id
    client.await_event(identifier, "trial_started", count=2)
    ended = client.wait_for_end(identifier)
    assert (ended.reason, ended.counts.running) == ("DEADLINE_REACHED", 0)

    _extend(client, identifier, additional_seconds=120, additional_trials=2)
    # Two more, long before the wall limits of the first two.
    client.await_event(identifier, "trial_started", count=4)
    cancelled = client.cancel(identifier)
    assert 0 < cancelled.used.cost < 125


def test_everything_wrong_with_a_budget_is_said_at_once(client: Client) -> None:
    body = _study(client, "never", n_iter=0, worker_class="no/such", priority=101)
    body["budget"] = {"max_trials": 0, "max_seconds": -1, "max_cost": 1}
    with pytest.raises(grpc.RpcError) as refusal:
        client.start_tuning(body)
    assert set(violations(refusal.value)) == {
        "n_iter",
        "worker_class",
        "priority",
        "budget.max_trials",
        "budget.max_seconds",
        "budget.price_per_hour",
    }
    with pytest.raises(grpc.RpcError) as refusal:
        _extend(client, str(uuid.uuid4()), additional_trials=-1, additional_cost=float("nan"))
    assert set(violations(refusal.value)) == {"additional_trials", "additional_cost"}
    with pytest.raises(grpc.RpcError) as refusal:
        _extend(client, str(uuid.uuid4()), additional_trials=1)
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    assert error_reason(refusal.value)

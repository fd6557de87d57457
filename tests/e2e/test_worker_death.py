"""A worker that dies in the middle costs time, never a trial."""

from __future__ import annotations

import psutil
import pytest

from tests.support.clients import Client
from tests.support.clusters import ClusterStarter
from tuning.v1 import orchestration_pb2, trial_pb2


@pytest.mark.slow
def test_a_search_survives_kill_9_of_a_worker_with_the_right_number_of_trials(
    cluster_starter: ClusterStarter,
) -> None:
    cluster = cluster_starter.start()
    client = Client(
        store_address=cluster.store_address, coordinator_address=cluster.coordinator_address
    )
    model_run_id = client.create_model_run("sklearn:digits", "random_forest_classifier")
    started = client.start_progressive_search(
        {
            "model_run_id": model_run_id,
            "initial_param_grid": {"n_estimators": [100, 150], "max_depth": [8, 12, None]},
            "cv_folds": 3,
            "n_iter_random": 6,
            "n_iter_bayesian": 4,
        }
    )
    with client.watcher(started.orchestration_id) as watcher:
        start = client.await_event(started.orchestration_id, "trial_started", count=2)[-1]
        lost = start.trial_started.number
        (victim,) = (
            worker
            for worker in cluster.workers()
            if start.trial_started.worker.endswith(f":{worker.pid}")
        )
        children = psutil.Process(victim.pid).children(recursive=True)
        victim.kill()

    ended = client.get(started.orchestration_id)
    assert ended.state == orchestration_pb2.LIFECYCLE_STATE_COMPLETED
    assert (ended.counts.total, ended.counts.succeeded) == (16, 16)
    trials = client.trials(started.orchestration_id)
    assert [trial.number for trial in trials] == list(range(16))
    assert all(trial.state == trial_pb2.TRIAL_STATE_SUCCEEDED for trial in trials)
    requeued = [
        (event.trial_requeued.number, event.trial_requeued.attempt)
        for event in watcher.events
        if event.WhichOneof("payload") == "trial_requeued"
    ]
    assert requeued == [(lost, 1)]
    assert trials[lost].attempt == 1
    finished = [
        event.trial_finished.number
        for event in watcher.events
        if event.WhichOneof("payload") == "trial_finished"
    ]
    # Once each: the dead worker's trial was run again, and counted once.
    assert sorted(finished) == list(range(16))
    assert [event.sequence for event in watcher.events] == list(range(1, len(watcher.events) + 1))
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive, "children of the killed worker live on"
    client.close()

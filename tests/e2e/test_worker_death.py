"""A worker that dies in the middle costs time, never a trial."""

from __future__ import annotations

import psutil
import pytest

from tests.support import hostility
from tests.support.clients import Client
from tests.support.clusters import ClusterStarter
from tuning.v1 import orchestration_pb2, trial_pb2


@pytest.mark.slow
def test_a_search_survives_kill_9_of_a_worker_with_the_right_number_of_trials(
    cluster_starter: ClusterStarter,
) -> None:
    cluster = cluster_starter.start(PYTHONPATH=hostility.injected()["PYTHONPATH"])
    client = Client(
        store_address=cluster.store_address, coordinator_address=cluster.coordinator_address
    )
    model_run_id = client.create_model_run("sklearn:iris", "gaussian_nb")
    started = client.start_progressive_search(
        {
            "model_run_id": model_run_id,
            # The first takes seconds for each of its folds: it runs when its worker is killed.
            "initial_param_grid": {
                "var_smoothing": [hostility.smoothing("take_long"), 1e-9, 1e-7, 1e-5, 1e-3, 1e-1]
            },
            "cv_folds": 2,
            "n_iter_random": 6,
            "n_iter_bayesian": 4,
        }
    )
    with client.watcher(started.orchestration_id) as watcher:
        lost = 0
        start = next(
            event
            for event in client.events(started.orchestration_id)
            if event.WhichOneof("payload") == "trial_started" and event.trial_started.number == lost
        )
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
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive, "children of the killed worker live on"
    client.close()

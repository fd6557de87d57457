"""Watching: one gapless log, whoever watches it and from wherever."""

from __future__ import annotations

from itertools import pairwise

import grpc
import pytest

from tests.support.clients import Client
from tuning.v1 import orchestration_pb2, run_service_pb2


def _start(client: Client) -> orchestration_pb2.Orchestration:
    model_run_id = client.create_model_run("sklearn:wine", "decision_tree_classifier")
    return client.start_progressive_search(
        {
            "model_run_id": model_run_id,
            "initial_param_grid": {"max_depth": [2, 3, 4], "min_samples_leaf": [1, 2]},
            "n_iter_random": 5,
            "n_iter_bayesian": 4,
            "cv_folds": 3,
        }
    )


def test_a_watcher_from_the_start_and_one_resumed_from_5_get_the_same_events(
    client: Client,
) -> None:
    started = _start(client)
    with client.watcher(started.orchestration_id) as from_the_start:
        # Resumed while the search still runs.
        for event in client.events(started.orchestration_id):
            if event.sequence >= 5:
                break
        with client.watcher(started.orchestration_id, after_sequence=5) as resumed:
            pass

    assert [event.sequence for event in from_the_start.events] == list(
        range(1, len(from_the_start.events) + 1)
    )
    assert resumed.events[0].sequence == 6
    assert resumed.events == from_the_start.events[5:]
    last = from_the_start.events[-1]
    assert last.orchestration_changed.final
    assert all(event.orchestration_id == started.orchestration_id for event in resumed.events)
    # The whole log again, long after the end.
    assert list(client.events(started.orchestration_id)) == from_the_start.events


def test_the_log_tells_the_whole_story(client: Client) -> None:
    started = _start(client)
    events = list(client.events(started.orchestration_id))
    ended = client.get(started.orchestration_id)
    assert ended.last_sequence == events[-1].sequence

    finished = [
        event.trial_finished for event in events if event.WhichOneof("payload") == "trial_finished"
    ]
    trials = client.trials(started.orchestration_id)
    assert sorted(each.number for each in finished) == [trial.number for trial in trials]
    by_number = {trial.number: trial for trial in trials}
    for each in finished:
        assert each.score == by_number[each.number].score
        assert list(each.split_scores) == list(by_number[each.number].metrics[0].split_scores)

    queued = [
        event.trials_queued for event in events if event.WhichOneof("payload") == "trials_queued"
    ]
    assert sum(each.count for each in queued) == len(trials)
    improved = [
        event.best_improved.best.score
        for event in events
        if event.WhichOneof("payload") == "best_improved"
    ]
    assert all(later >= earlier for earlier, later in pairwise(improved))
    assert improved[-1] == ended.best.score
    kinds = [event.WhichOneof("payload") for event in events]
    assert kinds.count("refinement_made") == 2


def test_a_watch_without_a_cursor_starts_with_a_snapshot(client: Client) -> None:
    started = _start(client)
    request = run_service_pb2.WatchOrchestrationRequest(orchestration_id=started.orchestration_id)
    stream = client.runs.WatchOrchestration(request, timeout=120)
    first = next(iter(stream))
    snapshot = first.snapshot.orchestration
    assert snapshot.orchestration_id == started.orchestration_id
    assert len(snapshot.stages) == 3
    following = [event.sequence for message in stream for event in message.events.events]
    end = client.get(started.orchestration_id).last_sequence
    assert following == list(range(snapshot.last_sequence + 1, end + 1))


def test_a_cursor_past_the_end_is_refused(client: Client) -> None:
    started = _start(client)
    with pytest.raises(grpc.RpcError) as caught:
        list(client.events(started.orchestration_id, after_sequence=1_000_000))
    assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE
    client.wait_for_end(started.orchestration_id)

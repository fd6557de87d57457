"""Progress folds a watch's items into how things stand."""

from __future__ import annotations

import pytest

from crescendo.client import event_decoding
from crescendo.client.events import Snapshot
from crescendo.client.progress import Progress
from tests.unit.crescendo import messages
from tuning.v1 import event_pb2 as event_pb
from tuning.v1 import orchestration_pb2 as orchestration_pb
from tuning.v1 import run_service_pb2 as run_pb

RUNNING = orchestration_pb.LIFECYCLE_STATE_RUNNING
COMPLETED = orchestration_pb.LIFECYCLE_STATE_COMPLETED


def progress_after(
    *events: event_pb.Event, whole: orchestration_pb.Orchestration | None = None
) -> Progress:
    message = run_pb.Snapshot(orchestration=whole or messages.progressive_search())
    progress = Progress.of(event_decoding.snapshot(message))
    for each in events:
        progress.apply(event_decoding.event(each))
    return progress


def test_a_snapshot_alone_counts() -> None:
    progress = progress_after()
    assert isinstance(
        event_decoding.snapshot(run_pb.Snapshot(orchestration=messages.progressive_search())),
        Snapshot,
    )
    assert [stage.total for stage in progress.stages] == [4, 3, 2]
    assert (progress.total, progress.completed, progress.running) == (9, 0, 0)
    assert progress.remaining_seconds() is None


def test_trials_are_counted_as_they_end() -> None:
    progress = progress_after(
        messages.started(3, 0),
        messages.started(4, 1),
        messages.finished(5, 0, score=0.9),
        messages.failed(6, 1, "does not converge"),
        messages.finished(7, 2, score=0.95),
    )
    first = progress.stages[0]
    assert (first.completed, first.failed, first.running, first.best_score) == (3, 1, 0, 0.95)
    assert progress.last_failure == "does not converge"
    assert progress.sequence == 7


def test_running_trials_of_a_snapshot_are_counted_down_without_their_names() -> None:
    whole = messages.progressive_search()
    whole.stages[0].tuning_runs[0].counts.running = 2
    progress = progress_after(messages.finished(3, 0), whole=whole)
    assert progress.running == 1


def test_a_requeued_trial_does_not_run() -> None:
    progress = progress_after(
        messages.started(3, 0),
        messages.event(4, trial_requeued=event_pb.TrialRequeued(number=0, attempt=1)),
    )
    assert progress.running == 0


def test_the_pace_of_the_latest_trials_gives_the_time_left() -> None:
    # One a second, four of nine done.
    progress = progress_after(*(messages.finished(number, number) for number in range(3, 7)))
    assert progress.remaining_seconds() == pytest.approx(5.0)


def test_trials_a_stage_ended_without_are_not_waited_for() -> None:
    progress = progress_after(
        *(messages.finished(number, number) for number in range(3, 6)),
        messages.stage(6, 0, COMPLETED, run="run-0"),
    )
    assert progress.remaining_seconds() == pytest.approx(5.0)


def test_stages_refinements_and_the_end() -> None:
    progress = progress_after(
        messages.improved(3, 0.97),
        messages.refined(4),
        messages.stage(5, 0, COMPLETED),
        messages.stage(6, 1, RUNNING),
        messages.event(
            7, notice=event_pb.Notice(reason="METHOD_FELL_BACK", message="random instead")
        ),
        messages.ended(8),
    )
    assert progress.best is not None
    assert progress.best.score == 0.97
    assert [each.summary for each in progress.refinements] == [messages.refinement().summary]
    assert [stage.state for stage in progress.stages] == ["completed", "running", "pending"]
    assert [notice.message for notice in progress.notices] == ["random instead"]
    assert progress.ended
    assert progress.remaining_seconds() == 0.0


def test_a_change_of_a_newer_server_is_passed_over() -> None:
    progress = progress_after(messages.event(3))
    assert progress.sequence == 3

"""Event messages of the stubs → the library's own events."""

from __future__ import annotations

from crescendo.client import decoding
from crescendo.client.events import (
    BestImproved,
    Change,
    Event,
    FoldScored,
    Notice,
    OrchestrationChanged,
    OrchestrationReopened,
    RefinementMade,
    Snapshot,
    StageChanged,
    TrialFinished,
    TrialRequeued,
    TrialsQueued,
    TrialStarted,
    Unknown,
)
from tuning.v1 import event_pb2 as event_pb
from tuning.v1 import run_service_pb2 as run_pb


def snapshot(message: run_pb.Snapshot) -> Snapshot:
    """Decodes a snapshot."""
    return Snapshot(
        sequence=message.orchestration.last_sequence,
        orchestration=decoding.orchestration(message.orchestration),
        epoch=message.epoch,
        shortened=message.shortened,
    )


def event(message: event_pb.Event, epoch: str = "") -> Event:
    """Decodes an event of a page with this epoch."""
    return Event(
        orchestration_id=message.orchestration_id,
        sequence=message.sequence,
        occurred_at=decoding.timestamp(message.occurred_at),
        change=_change(message),
        epoch=epoch,
    )


def _change(message: event_pb.Event) -> Change:
    match message.WhichOneof("payload"):
        case "orchestration_changed" | "orchestration_reopened" | "stage_changed":
            return _lifecycle_change(message)
        case "refinement_made":
            refinement = decoding.refinement(message.refinement_made.refinement)
            return RefinementMade(refinement=refinement)
        case "best_improved":
            return BestImproved(best=decoding.best(message.best_improved.best))
        case "notice":
            return Notice(
                reason=message.notice.reason,
                message=message.notice.message,
                tuning_run_id=message.notice.tuning_run_id,
            )
        case None:
            return Unknown()
        case _:
            return _trial_change(message)


def _lifecycle_change(message: event_pb.Event) -> Change:
    if message.HasField("orchestration_changed"):
        changed = message.orchestration_changed
        return OrchestrationChanged(
            state=decoding.lifecycle_state(changed.state),
            reason=changed.reason,
            message=changed.message,
            final=changed.final,
        )
    if message.HasField("orchestration_reopened"):
        return OrchestrationReopened(total_trials=message.orchestration_reopened.total_trials)
    stage = message.stage_changed
    return StageChanged(
        stage_index=stage.stage_index,
        tuning_run_id=stage.tuning_run_id,
        state=decoding.lifecycle_state(stage.state),
        reason=stage.reason,
        message=stage.message,
        planned_trials=stage.planned_trials,
    )


def _trial_change(message: event_pb.Event) -> Change:
    match message.WhichOneof("payload"):
        case "trials_queued":
            queued = message.trials_queued
            return TrialsQueued(
                tuning_run_id=queued.tuning_run_id,
                first_number=queued.first_number,
                count=queued.count,
            )
        case "trial_started":
            started = message.trial_started
            return TrialStarted(
                number=started.number,
                attempt=started.attempt,
                worker=started.worker,
                tuning_run_id=started.tuning_run_id,
            )
        case "fold_scored":
            scored = message.fold_scored
            return FoldScored(
                number=scored.number,
                attempt=scored.attempt,
                split=scored.split,
                score=scored.score,
            )
        case "trial_requeued":
            requeued = message.trial_requeued
            return TrialRequeued(
                number=requeued.number,
                attempt=requeued.attempt,
                cause=decoding.failure_kind(requeued.cause),
            )
        case "trial_finished":
            return _finished(message.trial_finished)
        case _:
            return Unknown()


def _finished(message: event_pb.TrialFinished) -> TrialFinished:
    return TrialFinished(
        number=message.number,
        attempt=message.attempt,
        state=decoding.trial_state(message.state),
        score=message.score if message.HasField("score") else None,
        split_scores=tuple(message.split_scores),
        failure=decoding.failure(message.failure) if message.HasField("failure") else None,
        tuning_run_id=message.tuning_run_id,
        duration_seconds=message.duration_seconds,
        train_scores=tuple(message.train_scores),
        copied_from=message.copied_from if message.HasField("copied_from") else None,
    )

"""Events, to and from protobuf."""

from __future__ import annotations

from datetime import UTC, datetime

from services.common.convert.pruning import decision_from_proto, decision_to_proto
from services.common.convert.runs import (
    best_from_proto,
    best_to_proto,
    lifecycle_state_from_proto,
    lifecycle_state_to_proto,
)
from services.common.convert.spaces import refinement_from_proto, refinement_to_proto
from services.common.convert.times import time_from_proto, time_to_proto
from services.common.convert.trials import (
    failure_from_proto,
    failure_kind_from_proto,
    failure_kind_to_proto,
    failure_to_proto,
    trial_state_from_proto,
    trial_state_to_proto,
)
from services.core.event import (
    BestImproved,
    Event,
    FoldScored,
    Notice,
    OrchestrationChanged,
    OrchestrationReopened,
    Payload,
    RefinementMade,
    StageChanged,
    TrialFinished,
    TrialRequeued,
    TrialsQueued,
    TrialStarted,
)
from tuning.v1 import event_pb2 as pb

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def event_to_proto(event: Event) -> pb.Event:
    """Encodes one event."""
    message = payload_to_proto(event.payload)
    message.orchestration_id = event.orchestration_id
    message.sequence = event.sequence
    message.request_id = event.request_id
    moment = time_to_proto(event.occurred_at)
    if moment is not None:
        message.occurred_at.CopyFrom(moment)
    return message


def event_from_proto(message: pb.Event) -> Event:
    """Decodes one event.

    Raises: ValueError: the message has no payload this version knows.
    """
    return Event(
        orchestration_id=message.orchestration_id,
        sequence=message.sequence,
        occurred_at=time_from_proto(message.occurred_at) or _EPOCH,
        payload=payload_from_proto(message),
        request_id=message.request_id,
    )


def payload_to_proto(payload: Payload) -> pb.Event:  # noqa: PLR0911 (one return per kind of event)
    """Encodes what happened as an event without id, sequence and time."""
    match payload:
        case OrchestrationChanged():
            return pb.Event(
                orchestration_changed=pb.OrchestrationChanged(
                    state=lifecycle_state_to_proto(payload.state),
                    reason=payload.reason,
                    message=payload.message,
                    final=payload.final,
                )
            )
        case StageChanged():
            return pb.Event(
                stage_changed=pb.StageChanged(
                    stage_index=payload.stage_index,
                    tuning_run_id=payload.tuning_run_id,
                    state=lifecycle_state_to_proto(payload.state),
                    reason=payload.reason,
                    message=payload.message,
                    planned_trials=payload.planned_trials,
                )
            )
        case RefinementMade():
            return pb.Event(
                refinement_made=pb.RefinementMade(
                    refinement=refinement_to_proto(payload.refinement)
                )
            )
        case TrialsQueued():
            return pb.Event(
                trials_queued=pb.TrialsQueued(
                    tuning_run_id=payload.tuning_run_id,
                    first_number=payload.first_number,
                    count=payload.count,
                )
            )
        case TrialStarted():
            return pb.Event(
                trial_started=pb.TrialStarted(
                    number=payload.number,
                    attempt=payload.attempt,
                    worker=payload.worker,
                    tuning_run_id=payload.tuning_run_id,
                )
            )
        case FoldScored():
            return pb.Event(
                fold_scored=pb.FoldScored(
                    number=payload.number,
                    attempt=payload.attempt,
                    split=payload.split,
                    score=payload.score,
                )
            )
        case TrialRequeued():
            return pb.Event(
                trial_requeued=pb.TrialRequeued(
                    number=payload.number,
                    attempt=payload.attempt,
                    cause=failure_kind_to_proto(payload.cause),
                )
            )
        case TrialFinished():
            return pb.Event(
                trial_finished=pb.TrialFinished(
                    number=payload.number,
                    attempt=payload.attempt,
                    state=trial_state_to_proto(payload.state),
                    score=payload.score,
                    split_scores=payload.split_scores,
                    failure=failure_to_proto(payload.failure),
                    tuning_run_id=payload.tuning_run_id,
                    duration_seconds=payload.duration_seconds,
                    prune_decision=decision_to_proto(payload.prune_decision),
                    train_scores=payload.train_scores,
                    copied_from=payload.copied_from,
                )
            )
        case BestImproved():
            return pb.Event(best_improved=pb.BestImproved(best=best_to_proto(payload.best)))
        case OrchestrationReopened():
            return pb.Event(
                orchestration_reopened=pb.OrchestrationReopened(total_trials=payload.total_trials)
            )
        case Notice():
            return pb.Event(
                notice=pb.Notice(
                    reason=payload.reason,
                    message=payload.message,
                    tuning_run_id=payload.tuning_run_id,
                )
            )


def payload_from_proto(message: pb.Event) -> Payload:  # noqa: PLR0911, PLR0912 (one branch per kind of event)
    """Decodes what happened.

    Raises: ValueError: the message has no payload this version knows.
    """
    match message.WhichOneof("payload"):
        case "orchestration_changed":
            changed = message.orchestration_changed
            return OrchestrationChanged(
                state=lifecycle_state_from_proto(changed.state),
                reason=changed.reason,
                message=changed.message,
                final=changed.final,
            )
        case "stage_changed":
            stage = message.stage_changed
            return StageChanged(
                stage_index=stage.stage_index,
                tuning_run_id=stage.tuning_run_id,
                state=lifecycle_state_from_proto(stage.state),
                reason=stage.reason,
                message=stage.message,
                planned_trials=stage.planned_trials,
            )
        case "refinement_made":
            return RefinementMade(
                refinement=refinement_from_proto(message.refinement_made.refinement)
            )
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
            fold = message.fold_scored
            return FoldScored(
                number=fold.number, attempt=fold.attempt, split=fold.split, score=fold.score
            )
        case "trial_requeued":
            requeued = message.trial_requeued
            return TrialRequeued(
                number=requeued.number,
                attempt=requeued.attempt,
                cause=failure_kind_from_proto(requeued.cause),
            )
        case "trial_finished":
            finished = message.trial_finished
            return TrialFinished(
                number=finished.number,
                attempt=finished.attempt,
                state=trial_state_from_proto(finished.state),
                score=finished.score if finished.HasField("score") else None,
                split_scores=tuple(finished.split_scores),
                failure=failure_from_proto(finished.failure),
                tuning_run_id=finished.tuning_run_id,
                duration_seconds=finished.duration_seconds,
                prune_decision=decision_from_proto(finished.prune_decision),
                train_scores=tuple(finished.train_scores),
                copied_from=finished.copied_from if finished.HasField("copied_from") else None,
            )
        case "best_improved":
            best = best_from_proto(message.best_improved.best)
            if best is None:
                raise ValueError("a BestImproved event names no trial")
            return BestImproved(best=best)
        case "orchestration_reopened":
            return OrchestrationReopened(total_trials=message.orchestration_reopened.total_trials)
        case "notice":
            notice = message.notice
            return Notice(
                reason=notice.reason,
                message=notice.message,
                tuning_run_id=notice.tuning_run_id,
            )
        case _:
            raise ValueError(f"event {message.sequence} has no payload this version knows")

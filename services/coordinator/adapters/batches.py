"""Batches of trials, to and from the bodies of messages."""

from __future__ import annotations

from services.coordinator.ports import TrialBatch, TrialReference
from tuning.v1 import task_messages_pb2 as pb

# Workers dead-letter versions they do not know.
MESSAGE_VERSION = 1


def batch_to_proto(batch: TrialBatch) -> pb.TrialBatch:
    """Encodes a batch."""
    return pb.TrialBatch(
        version=MESSAGE_VERSION,
        orchestration_id=batch.orchestration_id,
        tuning_run_id=batch.tuning_run_id,
        trials=[
            pb.TrialReference(number=each.number, attempt=each.attempt) for each in batch.trials
        ],
        request_id=batch.request_id,
    )


def batch_from_proto(message: pb.TrialBatch) -> TrialBatch:
    """Decodes a batch."""
    return TrialBatch(
        orchestration_id=message.orchestration_id,
        tuning_run_id=message.tuning_run_id,
        trials=tuple(
            TrialReference(number=each.number, attempt=each.attempt) for each in message.trials
        ),
        request_id=message.request_id,
    )

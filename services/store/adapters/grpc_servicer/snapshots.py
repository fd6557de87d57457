"""Snapshots that watches start with: told in short where a plan is large."""

from __future__ import annotations

from services.common.convert.runs import orchestration_to_proto
from services.core.trial import in_short
from services.store.service.watch import Snapshot
from tuning.v1 import orchestration_pb2
from tuning.v1 import run_service_pb2 as pb

MAX_WHOLE_BYTES = 64 * 1024
"""A snapshot above this is told in short: by what its watcher needs to follow the events."""


def snapshot_to_proto(snapshot: Snapshot) -> pb.Snapshot:
    """Encodes a snapshot, in short where it would have more than `MAX_WHOLE_BYTES`.

    Told in short each tuning run takes about 400 bytes, and whatever is asked for besides is left to
    GetOrchestration.
    """
    message = pb.Snapshot(
        orchestration=orchestration_to_proto(snapshot.orchestration), epoch=snapshot.epoch
    )
    if message.ByteSize() > MAX_WHOLE_BYTES:
        _shorten(message.orchestration)
        message.shortened = True
    return message


def _shorten(orchestration: orchestration_pb2.Orchestration) -> None:
    orchestration.message = in_short(orchestration.message)
    for stage in orchestration.stages:
        stage.message = in_short(stage.message)
        for run in stage.tuning_runs:
            run.message = in_short(run.message)
            run.ClearField("space")
            run.ClearField("original_space")
            run.ClearField("start")
            run.ClearField("baseline")
            run.ClearField("metrics")
            run.ClearField("splitter")
            run.ClearField("stopping")
            run.ClearField("pruning")
            # Whatever the best trial is of: the tuning run says that itself.
            if run.HasField("best"):
                run.best.CopyFrom(
                    orchestration_pb2.BestTrial(
                        trial_number=run.best.trial_number, score=run.best.score
                    )
                )

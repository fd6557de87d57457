"""States as words, and times."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from crescendo.client.model import State
from tuning.v1 import objective_pb2 as objective_pb
from tuning.v1 import orchestration_pb2 as orchestration_pb
from tuning.v1 import trial_pb2 as trial_pb


def lifecycle_state(number: orchestration_pb.LifecycleState.ValueType) -> State:
    """Gives a state as a word: `running` for LIFECYCLE_STATE_RUNNING."""
    name = orchestration_pb.LifecycleState.Name(number)
    return name.removeprefix("LIFECYCLE_STATE_").lower()


def trial_state(number: trial_pb.TrialState.ValueType) -> State:
    """Gives a trial's state as a word."""
    return trial_pb.TrialState.Name(number).removeprefix("TRIAL_STATE_").lower()


def failure_kind(number: trial_pb.FailureKind.ValueType) -> str:
    """Gives a failure's kind as a word."""
    return trial_pb.FailureKind.Name(number).removeprefix("FAILURE_KIND_").lower()


def step_kind(number: objective_pb.StepKind.ValueType) -> str:
    """Gives what a step is as a word: `fold` where that was not said."""
    if number == objective_pb.STEP_KIND_UNSPECIFIED:
        return "fold"
    return objective_pb.StepKind.Name(number).removeprefix("STEP_KIND_").lower()


def timestamp(message: Timestamp) -> datetime | None:
    """Gives a time in UTC; None for one that was never set."""
    if not message.seconds and not message.nanos:
        return None
    return message.ToDatetime(tzinfo=UTC)

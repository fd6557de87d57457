"""What an evaluation must beat, and whether it goes on, on its way to a child."""

from __future__ import annotations

from services.common.convert.pruning import (
    decision_from_proto,
    decision_to_proto,
    threshold_from_proto,
    threshold_to_proto,
)
from services.common.convert.values import assignment_to_proto
from services.core.pruning import place_of
from services.core.space import Assignment
from services.worker.ports import Advice, Standard
from tuning.v1 import evaluation_messages_pb2 as pb


def evaluate_to_proto(parameters: Assignment, standard: Standard | None) -> pb.Evaluate:
    """Encodes what to evaluate, and what makes the rest of it worth the time."""
    message = pb.Evaluate(parameters=assignment_to_proto(parameters))
    _set_standard(message, standard)
    return message


def advice_to_proto(advice: Advice, *, step: int) -> pb.Advice:
    """Encodes how an evaluation goes on; `step` is the one it waits after, 0 when it does not."""
    message = pb.Advice(step=step, stop=decision_to_proto(advice.stop))
    _set_standard(message, advice.standard)
    return message


def advice_from_proto(message: pb.Advice) -> Advice:
    """Decodes how an evaluation goes on."""
    return Advice(stop=decision_from_proto(message.stop), standard=standard_from_proto(message))


def standard_from_proto(message: pb.Evaluate | pb.Advice) -> Standard | None:
    """Decodes what makes the rest of an evaluation worth the time; None when all of it is wanted."""
    if not message.HasField("threshold"):
        return None
    candidate = message.candidate_index if message.HasField("candidate_index") else None
    return Standard(
        threshold=threshold_from_proto(message.threshold),
        place=place_of(candidate, message.number),
    )


def _set_standard(message: pb.Evaluate | pb.Advice, standard: Standard | None) -> None:
    if standard is None:
        return
    # A child knows no tuning runs: it works for one at a time.
    message.threshold.CopyFrom(threshold_to_proto(standard.threshold, ""))
    candidate, message.number = standard.place
    if candidate != place_of(None, 0)[0]:
        message.candidate_index = candidate

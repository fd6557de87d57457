"""Stopping rules, to and from protobuf."""

from __future__ import annotations

from services.core.stopping import NO_RULES, StoppingRules
from tuning.v1 import orchestration_pb2 as pb


def stopping_to_proto(rules: StoppingRules) -> pb.StoppingRules | None:
    """Encodes rules; None where there are none."""
    if not rules.any:
        return None
    return pb.StoppingRules(
        plateau_trials=rules.plateau_trials,
        min_improvement=rules.min_improvement or None,
        target_score=rules.target_score,
    )


def stopping_from_proto(message: pb.StoppingRules) -> StoppingRules:
    """Decodes rules. Raises: InvalidRequest: one is out of range."""
    given = {field.name: value for field, value in message.ListFields()}
    return StoppingRules(**given) if given else NO_RULES

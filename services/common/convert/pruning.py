"""Pruning: settings, decisions and thresholds, to and from protobuf."""

from __future__ import annotations

from typing import Any

from services.core.pruning import PruneDecision, Threshold, place_of
from services.core.pruning_settings import (
    LOSSLESS,
    RULE_FIGURES,
    TRAINING_FRACTION,
    Pruning,
    StepKind,
)
from tuning.v1 import objective_pb2, orchestration_pb2, trial_pb2

_STEP_KINDS = {
    StepKind.FOLD: objective_pb2.STEP_KIND_FOLD,
    StepKind.TRAINING_SIZE: objective_pb2.STEP_KIND_TRAINING_SIZE,
    StepKind.BOOSTING_ROUND: objective_pb2.STEP_KIND_BOOSTING_ROUND,
}
_KINDS_BY_PROTO = {number: kind for kind, number in _STEP_KINDS.items()} | {
    objective_pb2.STEP_KIND_UNSPECIFIED: StepKind.FOLD
}


def step_kind_to_proto(kind: StepKind) -> objective_pb2.StepKind.ValueType:
    """Encodes what a step is."""
    return _STEP_KINDS[kind]


def step_kind_from_proto(number: objective_pb2.StepKind.ValueType) -> StepKind:
    """Decodes what a step is: a fold when that was not said.

    Raises: ValueError: the number names no kind.
    """
    try:
        return _KINDS_BY_PROTO[number]
    except KeyError:
        raise ValueError(f"{number} is no kind of step") from None


def pruning_to_proto(pruning: Pruning | None) -> orchestration_pb2.Pruning | None:
    """Encodes how trials are stopped early, with the figures of the rule alone; None stays absent."""
    if pruning is None:
        return None
    message = orchestration_pb2.Pruning(
        rule=pruning.rule,
        step_kind=step_kind_to_proto(pruning.step_kind),
        max_steps=pruning.max_steps,
    )
    for name in RULE_FIGURES[pruning.rule]:
        setattr(message, name, getattr(pruning, name))
    if pruning.step_kind is StepKind.TRAINING_SIZE:
        message.min_training_fraction = pruning.min_training_fraction
    return message


def _figures(rule: str) -> tuple[str, ...]:
    return (*RULE_FIGURES.get(rule, ()), TRAINING_FRACTION)


def pruning_from_proto(message: orchestration_pb2.Pruning) -> Pruning:
    """Decodes how trials are stopped early, with the defaults of what was left out.

    Raises: InvalidRequest: the rule is unknown, or a figure out of its range.
    """
    rule = message.rule or LOSSLESS
    given: dict[str, Any] = {field.name: value for field, value in message.ListFields()}
    return Pruning(
        rule=rule,
        step_kind=step_kind_from_proto(message.step_kind),
        max_steps=message.max_steps,
        **{name: given[name] for name in _figures(rule) if name in given},
    )


def decision_to_proto(decision: PruneDecision | None) -> trial_pb2.PruneDecision | None:
    """Encodes a decision to stop; None stays absent."""
    if decision is None:
        return None
    return trial_pb2.PruneDecision(
        rule=decision.rule,
        step=decision.step,
        value=decision.value,
        cut_off=decision.cut_off or 0.0,
        peers=decision.peers,
        step_kind=step_kind_to_proto(decision.step_kind),
    )


def decision_from_proto(message: trial_pb2.PruneDecision) -> PruneDecision | None:
    """Decodes a decision to stop; the empty message is None."""
    if not message.rule:
        return None
    return PruneDecision(
        stop=True,
        rule=message.rule,
        step=message.step,
        value=message.value,
        cut_off=message.cut_off,
        peers=message.peers,
        step_kind=step_kind_from_proto(message.step_kind),
    )


def threshold_to_proto(threshold: Threshold, tuning_run_id: str) -> trial_pb2.PruningThreshold:
    """Encodes what candidates of a tuning run must beat."""
    message = trial_pb2.PruningThreshold(
        tuning_run_id=tuning_run_id, score=threshold.score, keep=threshold.keep
    )
    if threshold.place is not None:
        candidate, message.number = threshold.place
        if place_of(candidate, 0) != place_of(None, 0):
            message.candidate_index = candidate
    return message


def threshold_from_proto(message: trial_pb2.PruningThreshold) -> Threshold:
    """Decodes what candidates must beat."""
    candidate = message.candidate_index if message.HasField("candidate_index") else None
    return Threshold(
        score=message.score,
        place=place_of(candidate, message.number) if message.HasField("number") else None,
        keep=message.keep,
    )

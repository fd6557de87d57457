"""Evaluations and preprocessing steps, to and from protobuf."""

from __future__ import annotations

from typing import Final

from google.protobuf.duration_pb2 import Duration

from services.common.convert.values import assignment_from_proto, assignment_to_proto
from services.core.objective import ColumnKind, EvaluationSpec, Step
from services.core.splitting import Splitter
from tuning.v1 import objective_pb2 as pb

_COLUMN_KINDS = {
    ColumnKind.DEFAULT: pb.COLUMN_KIND_UNSPECIFIED,
    ColumnKind.ALL: pb.COLUMN_KIND_ALL,
    ColumnKind.NUMERIC: pb.COLUMN_KIND_NUMERIC,
    ColumnKind.CATEGORICAL: pb.COLUMN_KIND_CATEGORICAL,
}
_SETTINGS: Final = (
    "n_splits",
    "shuffle",
    "n_repeats",
    "test_size",
    "gap",
    "max_train_rows",
    "test_rows",
)
_KINDS_BY_PROTO = {number: kind for kind, number in _COLUMN_KINDS.items()}


def column_kind_to_proto(kind: ColumnKind) -> pb.ColumnKind.ValueType:
    """Encodes a column kind."""
    return _COLUMN_KINDS[kind]


def column_kind_from_proto(number: pb.ColumnKind.ValueType) -> ColumnKind:
    """Decodes a column kind.

    Raises: ValueError: the number names none.
    """
    try:
        return _KINDS_BY_PROTO[number]
    except KeyError:
        raise ValueError(f"{number} is no column kind") from None


def splitter_to_proto(splitter: Splitter | None) -> pb.Splitter | None:
    """Encodes a splitter; None stays absent."""
    if splitter is None:
        return None
    return pb.Splitter(type=splitter.type, **{name: getattr(splitter, name) for name in _SETTINGS})


def splitter_from_proto(message: pb.Splitter) -> Splitter:
    """Decodes a splitter; what is not set is None."""
    given = {name: getattr(message, name) for name in _SETTINGS if message.HasField(name)}
    return Splitter(type=message.type, **given)


def evaluation_to_proto(spec: EvaluationSpec) -> pb.EvaluationSpec:
    """Encodes an evaluation."""
    message = pb.EvaluationSpec(
        dataset_id=spec.dataset_id,
        dataset_hash=spec.dataset_hash,
        model_type=spec.model_type,
        fixed_parameters=assignment_to_proto(spec.fixed_parameters),
        steps=[
            pb.StepSpec(
                type=each.type,
                name=each.name,
                parameters=assignment_to_proto(each.parameters),
                columns=column_kind_to_proto(each.columns),
            )
            for each in spec.steps
        ],
        cv_folds=spec.cv_folds,
        metrics=spec.metrics,
        random_state=spec.random_state,
        splitter=splitter_to_proto(spec.splitter),
        weighted_scoring=spec.weighted_scoring,
        return_train_scores=spec.return_train_scores,
    )
    if spec.trial_timeout_seconds is not None:
        limit = Duration()
        limit.FromNanoseconds(round(spec.trial_timeout_seconds * 1e9))
        message.trial_timeout.CopyFrom(limit)
    return message


def evaluation_from_proto(message: pb.EvaluationSpec) -> EvaluationSpec:
    """Decodes an evaluation."""
    return EvaluationSpec(
        dataset_id=message.dataset_id,
        dataset_hash=message.dataset_hash,
        model_type=message.model_type,
        fixed_parameters=assignment_from_proto(message.fixed_parameters),
        steps=tuple(
            Step(
                type=each.type,
                name=each.name,
                parameters=assignment_from_proto(each.parameters),
                columns=column_kind_from_proto(each.columns),
            )
            for each in message.steps
        ),
        cv_folds=message.cv_folds,
        metrics=tuple(message.metrics),
        random_state=message.random_state,
        trial_timeout_seconds=(
            message.trial_timeout.ToNanoseconds() / 1e9
            if message.HasField("trial_timeout")
            else None
        ),
        splitter=splitter_from_proto(message.splitter) if message.HasField("splitter") else None,
        weighted_scoring=message.weighted_scoring,
        return_train_scores=message.return_train_scores,
    )

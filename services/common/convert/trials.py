"""Trials, their results and scores, to and from protobuf."""

from __future__ import annotations

from collections.abc import Sequence

from services.common.convert.pruning import decision_from_proto, decision_to_proto
from services.common.convert.times import time_from_proto, time_to_proto
from services.common.convert.values import assignment_from_proto, assignment_to_proto
from services.core.early_stopping import final_rounds
from services.core.intervals import (
    IntervalMethod,
    ScoreInterval,
    SplitFacts,
    score_intervals,
)
from services.core.statistics import summarise
from services.core.trial import (
    Failure,
    FailureKind,
    NewTrial,
    SplitScores,
    Trial,
    TrialKey,
    TrialResult,
    TrialState,
)
from tuning.v1 import objective_pb2, plan_service_pb2, trial_service_pb2
from tuning.v1 import trial_pb2 as pb

_STATES = {each: pb.TrialState.Value(f"TRIAL_STATE_{each.name}") for each in TrialState}
_STATES_BY_PROTO = {number: each for each, number in _STATES.items()}
_KINDS = {each: pb.FailureKind.Value(f"FAILURE_KIND_{each.name}") for each in FailureKind}
_METHODS = {
    IntervalMethod.NONE: objective_pb2.INTERVAL_METHOD_UNSPECIFIED,
    IntervalMethod.CORRECTED_T: objective_pb2.INTERVAL_METHOD_CORRECTED_T,
    IntervalMethod.CORRECTED_T_HEURISTIC: objective_pb2.INTERVAL_METHOD_CORRECTED_T_HEURISTIC,
}
_METHODS_BY_PROTO = {number: each for each, number in _METHODS.items()}
_KINDS_BY_PROTO = {number: each for each, number in _KINDS.items()}


def trial_state_to_proto(state: TrialState) -> pb.TrialState.ValueType:
    """Encodes a trial's state."""
    return _STATES[state]


def trial_state_from_proto(number: pb.TrialState.ValueType) -> TrialState:
    """Decodes a trial's state.

    Raises: ValueError: the number names none.
    """
    try:
        return _STATES_BY_PROTO[number]
    except KeyError:
        raise ValueError(f"{number} is no trial state") from None


def failure_kind_to_proto(kind: FailureKind) -> pb.FailureKind.ValueType:
    """Encodes a failure's kind."""
    return _KINDS[kind]


def failure_kind_from_proto(number: pb.FailureKind.ValueType) -> FailureKind:
    """Decodes a failure's kind; one this version does not know is an EXCEPTION."""
    return _KINDS_BY_PROTO.get(number, FailureKind.EXCEPTION)


def failure_to_proto(failure: Failure | None) -> pb.TrialFailure | None:
    """Encodes a failure; None stays absent."""
    if failure is None:
        return None
    return pb.TrialFailure(kind=failure_kind_to_proto(failure.kind), message=failure.message)


def failure_from_proto(message: pb.TrialFailure) -> Failure | None:
    """Decodes a failure; the empty message is None."""
    if message.kind == pb.FAILURE_KIND_UNSPECIFIED:
        return None
    return Failure(kind=failure_kind_from_proto(message.kind), message=message.message)


def scores_to_proto(metrics: Sequence[SplitScores]) -> list[objective_pb2.MetricScores]:
    """Encodes raw split scores, without derived figures."""
    return [
        objective_pb2.MetricScores(
            metric=each.metric, split_scores=each.scores, train_scores=each.train_scores
        )
        for each in metrics
    ]


def splits_to_proto(splits: Sequence[SplitFacts]) -> list[objective_pb2.SplitFacts]:
    """Encodes what splits took."""
    return [
        objective_pb2.SplitFacts(
            train_rows=each.train_rows,
            test_rows=each.test_rows,
            fit_seconds=each.fit_seconds,
            score_seconds=each.score_seconds,
            best_rounds=each.best_rounds,
            optimistic=each.optimistic,
        )
        for each in splits
    ]


def splits_from_proto(messages: Sequence[objective_pb2.SplitFacts]) -> tuple[SplitFacts, ...]:
    """Decodes what splits took."""
    return tuple(
        SplitFacts(
            train_rows=each.train_rows,
            test_rows=each.test_rows,
            fit_seconds=each.fit_seconds,
            score_seconds=each.score_seconds,
            best_rounds=each.best_rounds if each.HasField("best_rounds") else None,
            optimistic=each.optimistic,
        )
        for each in messages
    )


def interval_method_to_proto(method: IntervalMethod) -> objective_pb2.IntervalMethod.ValueType:
    """Encodes how intervals come about."""
    return _METHODS[method]


def interval_method_from_proto(number: objective_pb2.IntervalMethod.ValueType) -> IntervalMethod:
    """Decodes how intervals come about; a method this version does not know gives none."""
    return _METHODS_BY_PROTO.get(number, IntervalMethod.NONE)


def intervals_to_proto(intervals: Sequence[ScoreInterval]) -> list[objective_pb2.ScoreInterval]:
    """Encodes intervals around a mean."""
    return [
        objective_pb2.ScoreInterval(level=each.level, low=each.low, high=each.high)
        for each in intervals
    ]


def summarised_scores_to_proto(
    metrics: Sequence[SplitScores], splits: Sequence[SplitFacts], method: IntervalMethod
) -> list[objective_pb2.MetricScores]:
    """Encodes split scores with mean, deviation, median, minimum, maximum and intervals."""
    messages = scores_to_proto(metrics)
    for message, each in zip(messages, metrics, strict=True):
        if not each.scores:
            continue
        summary = summarise(each.scores)
        for name in ("mean", "std", "median", "min", "max"):
            figure = getattr(summary, name)
            if figure is not None:
                setattr(message, name, figure)
        message.intervals.extend(intervals_to_proto(score_intervals(each.scores, splits, method)))
        trained = summarise(each.train_scores)
        if trained.mean is not None:
            message.train_mean = trained.mean
        if trained.std is not None:
            message.train_std = trained.std
    return messages


def scores_from_proto(
    messages: Sequence[objective_pb2.MetricScores],
) -> tuple[SplitScores, ...]:
    """Decodes split scores."""
    return tuple(
        SplitScores(
            metric=each.metric,
            scores=tuple(each.split_scores),
            train_scores=tuple(each.train_scores),
        )
        for each in messages
    )


def trial_key_to_proto(key: TrialKey) -> trial_service_pb2.TrialAttempt:
    """Encodes one attempt at one trial."""
    return trial_service_pb2.TrialAttempt(
        orchestration_id=key.orchestration_id, number=key.number, attempt=key.attempt
    )


def trial_key_from_proto(message: trial_service_pb2.TrialAttempt) -> TrialKey:
    """Decodes one attempt at one trial."""
    return TrialKey(
        orchestration_id=message.orchestration_id, number=message.number, attempt=message.attempt
    )


def trial_result_to_proto(result: TrialResult) -> trial_service_pb2.TrialResult:
    """Encodes the end of an attempt."""
    return trial_service_pb2.TrialResult(
        trial=trial_key_to_proto(result.trial),
        state=trial_state_to_proto(result.state),
        metrics=scores_to_proto(result.metrics),
        failure=failure_to_proto(result.failure),
        fit_seconds=result.fit_seconds,
        score_seconds=result.score_seconds,
        duration_seconds=result.duration_seconds,
        prune_decision=decision_to_proto(result.prune_decision),
        splits=splits_to_proto(result.splits),
        interval_method=interval_method_to_proto(result.interval_method),
    )


def trial_result_from_proto(message: trial_service_pb2.TrialResult) -> TrialResult:
    """Decodes the end of an attempt."""
    return TrialResult(
        trial=trial_key_from_proto(message.trial),
        state=trial_state_from_proto(message.state),
        metrics=scores_from_proto(message.metrics),
        failure=failure_from_proto(message.failure),
        fit_seconds=message.fit_seconds,
        score_seconds=message.score_seconds,
        duration_seconds=message.duration_seconds,
        prune_decision=decision_from_proto(message.prune_decision),
        splits=splits_from_proto(message.splits),
        interval_method=interval_method_from_proto(message.interval_method),
    )


def new_trial_to_proto(trial: NewTrial) -> plan_service_pb2.NewTrial:
    """Encodes a suggestion that is to become a trial."""
    return plan_service_pb2.NewTrial(
        parameters=assignment_to_proto(trial.parameters),
        candidate_index=trial.candidate_index,
        phase=trial.phase,
        suggestion_index=trial.suggestion_index,
        suggested_at_sequence=trial.suggested_at_sequence,
        copied_from=trial.copied_from,
    )


def new_trial_from_proto(message: plan_service_pb2.NewTrial) -> NewTrial:
    """Decodes a suggestion that is to become a trial."""
    return NewTrial(
        parameters=assignment_from_proto(message.parameters),
        candidate_index=message.candidate_index if message.HasField("candidate_index") else None,
        phase=message.phase,
        suggestion_index=message.suggestion_index,
        suggested_at_sequence=message.suggested_at_sequence,
        copied_from=message.copied_from if message.HasField("copied_from") else None,
    )


def trial_to_proto(trial: Trial) -> pb.Trial:
    """Encodes a trial, its scores with their derived figures."""
    return pb.Trial(
        orchestration_id=trial.orchestration_id,
        number=trial.number,
        tuning_run_id=trial.tuning_run_id,
        stage_index=trial.stage_index,
        state=trial_state_to_proto(trial.state),
        attempt=trial.attempt,
        parameters=assignment_to_proto(trial.parameters),
        candidate_index=trial.candidate_index,
        phase=trial.phase,
        suggestion_index=trial.suggestion_index,
        suggested_at_sequence=trial.suggested_at_sequence,
        score=trial.score,
        metrics=summarised_scores_to_proto(
            trial.metrics,
            trial.splits,
            # A mean over part of the splits is no score, and has no interval.
            trial.interval_method if trial.state is TrialState.SUCCEEDED else IntervalMethod.NONE,
        ),
        failure=failure_to_proto(trial.failure),
        worker=trial.worker,
        fit_seconds=trial.fit_seconds,
        score_seconds=trial.score_seconds,
        queued_at=time_to_proto(trial.queued_at),
        started_at=time_to_proto(trial.started_at),
        finished_at=time_to_proto(trial.finished_at),
        prune_decision=decision_to_proto(trial.prune_decision),
        splits=splits_to_proto(trial.splits),
        interval_method=interval_method_to_proto(trial.interval_method),
        final_rounds=_final_rounds(trial),
        optimistic=any(each.optimistic for each in trial.splits),
        copied_from=trial.copied_from,
    )


def _final_rounds(trial: Trial) -> int | None:
    rounds = [each.best_rounds for each in trial.splits if each.best_rounds is not None]
    return final_rounds(rounds) if rounds and trial.state is TrialState.SUCCEEDED else None


def trial_from_proto(message: pb.Trial) -> Trial:
    """Decodes a trial."""
    return Trial(
        orchestration_id=message.orchestration_id,
        number=message.number,
        tuning_run_id=message.tuning_run_id,
        stage_index=message.stage_index,
        state=trial_state_from_proto(message.state),
        attempt=message.attempt,
        parameters=assignment_from_proto(message.parameters),
        candidate_index=message.candidate_index if message.HasField("candidate_index") else None,
        phase=message.phase,
        suggestion_index=message.suggestion_index,
        suggested_at_sequence=message.suggested_at_sequence,
        score=message.score if message.HasField("score") else None,
        metrics=scores_from_proto(message.metrics),
        failure=failure_from_proto(message.failure),
        worker=message.worker,
        fit_seconds=message.fit_seconds,
        score_seconds=message.score_seconds,
        queued_at=time_from_proto(message.queued_at),
        started_at=time_from_proto(message.started_at),
        finished_at=time_from_proto(message.finished_at),
        prune_decision=decision_from_proto(message.prune_decision),
        splits=splits_from_proto(message.splits),
        interval_method=interval_method_from_proto(message.interval_method),
        copied_from=message.copied_from if message.HasField("copied_from") else None,
    )

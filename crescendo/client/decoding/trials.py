"""Trials and their scores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from crescendo.client.decoding.states import failure_kind, step_kind, timestamp, trial_state
from crescendo.client.model import (
    Failure,
    Lineage,
    Metric,
    PruneDecision,
    ScoreInterval,
    SplitFacts,
    TracedTrial,
    Trial,
)
from crescendo.client.values import parameters_from_proto
from tuning.v1 import objective_pb2 as objective_pb
from tuning.v1 import run_service_pb2 as run_pb
from tuning.v1 import trial_pb2 as trial_pb

_INTERVAL_METHODS = {
    objective_pb.INTERVAL_METHOD_CORRECTED_T: "corrected_t",
    objective_pb.INTERVAL_METHOD_CORRECTED_T_HEURISTIC: "corrected_t_heuristic",
}


def prune_decision(message: trial_pb.PruneDecision) -> PruneDecision:
    """Decodes why a trial was stopped early."""
    return PruneDecision(
        rule=message.rule,
        step=message.step,
        value=message.value,
        cut_off=message.cut_off,
        peers=message.peers,
        step_kind=step_kind(message.step_kind),
    )


def metrics(messages: Iterable[objective_pb.MetricScores]) -> tuple[Metric, ...]:
    """Decodes scores per metric."""
    return tuple(
        Metric(
            metric=each.metric,
            split_scores=tuple(each.split_scores),
            mean=each.mean if each.HasField("mean") else None,
            std=each.std if each.HasField("std") else None,
            median=each.median if each.HasField("median") else None,
            min=each.min if each.HasField("min") else None,
            max=each.max if each.HasField("max") else None,
            intervals=score_intervals(each.intervals),
            train_scores=tuple(each.train_scores),
            train_mean=each.train_mean if each.HasField("train_mean") else None,
            train_std=each.train_std if each.HasField("train_std") else None,
        )
        for each in messages
    )


def score_intervals(
    messages: Iterable[objective_pb.ScoreInterval],
) -> tuple[ScoreInterval, ...]:
    """Decodes intervals around a mean."""
    return tuple(ScoreInterval(level=each.level, low=each.low, high=each.high) for each in messages)


def interval_method(number: objective_pb.IntervalMethod.ValueType) -> str:
    """Decodes how intervals come about; empty for none."""
    return _INTERVAL_METHODS.get(number, "")


def failure(message: trial_pb.TrialFailure) -> Failure:
    """Decodes a failure."""
    return Failure(kind=failure_kind(message.kind), message=message.message)


def trial(message: trial_pb.Trial) -> Trial:
    """Decodes a trial."""
    return Trial(
        number=message.number,
        stage_index=message.stage_index,
        state=trial_state(message.state),
        score=message.score if message.HasField("score") else None,
        parameters=parameters_from_proto(message.parameters),
        phase=message.phase,
        metrics=metrics(message.metrics),
        failure=failure(message.failure) if message.HasField("failure") else None,
        worker=message.worker,
        attempt=message.attempt,
        fit_seconds=message.fit_seconds,
        score_seconds=message.score_seconds,
        candidate_index=message.candidate_index if message.HasField("candidate_index") else None,
        tuning_run_id=message.tuning_run_id,
        queued_at=timestamp(message.queued_at),
        started_at=timestamp(message.started_at),
        finished_at=timestamp(message.finished_at),
        prune_decision=(
            prune_decision(message.prune_decision) if message.HasField("prune_decision") else None
        ),
        splits=tuple(
            SplitFacts(
                train_rows=each.train_rows,
                test_rows=each.test_rows,
                fit_seconds=each.fit_seconds,
                score_seconds=each.score_seconds,
                best_rounds=each.best_rounds if each.HasField("best_rounds") else None,
                optimistic=each.optimistic,
            )
            for each in message.splits
        ),
        interval_method=interval_method(message.interval_method),
        suggestion_index=message.suggestion_index,
        suggested_at_sequence=message.suggested_at_sequence,
        final_rounds=message.final_rounds if message.HasField("final_rounds") else None,
        optimistic=message.optimistic,
        copied_from=message.copied_from if message.HasField("copied_from") else None,
    )


def traced_trial(message: run_pb.GetTrialResponse) -> TracedTrial:
    """Decodes a trial with where it came from."""
    lineage = message.lineage
    return TracedTrial(
        trial=trial(message.trial),
        lineage=Lineage(
            summary=lineage.summary,
            refinement_id=_set(lineage, "refinement_id"),
            evidence_trial_numbers=tuple(lineage.evidence_trial_numbers),
            best_trial_number=_set(lineage, "best_trial_number"),
            refinement_summary=lineage.refinement_summary,
            baseline_trial_number=_set(lineage, "baseline_trial_number"),
            point_to_try=_set(lineage, "point_to_try"),
        ),
    )


def _set(message: Any, name: str) -> int | None:
    return getattr(message, name) if message.HasField(name) else None

"""Rows to values and back; the one place that knows which columns hold which messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.common.convert.spaces import space_from_proto
from services.common.convert.trials import scores_from_proto, scores_to_proto
from services.common.convert.values import assignment_from_proto
from services.core.plan import LifecycleState
from services.core.run import BestTrial, Orchestration, Stage, Timings, TrialCounts, TuningRun
from services.core.trial import Failure, FailureKind, SplitScores, Trial, TrialState
from services.store.ports.records import (
    Best,
    OrchestrationRecord,
    StageRecord,
    TrialRecord,
    TuningRunRecord,
)
from tuning.v1 import search_space_pb2, trial_pb2


def counts_of(row: Any) -> TrialCounts:
    """Reads the counters of an orchestration or tuning run."""
    return TrialCounts(
        total=row["planned"],
        queued=row["queued"],
        running=row["running"],
        succeeded=row["succeeded"],
        failed=row["failed"],
        pruned=row["pruned"],
        cancelled=row["cancelled"],
    )


def counters(counts: TrialCounts) -> tuple[int, ...]:
    """Gives counters in the order of their columns, `planned` first."""
    return (
        counts.total,
        counts.queued,
        counts.running,
        counts.succeeded,
        counts.failed,
        counts.pruned,
        counts.cancelled,
    )


def orchestration_record(row: Any) -> OrchestrationRecord:
    """Reads a locked orchestration."""
    return OrchestrationRecord(
        orchestration_id=row["orchestration_id"],
        tenant=row["tenant"],
        state=LifecycleState(row["state"]),
        reason=row["reason"],
        message=row["message"],
        max_concurrent_trials=row["max_concurrent_trials"],
        last_sequence=row["last_sequence"],
        next_trial_number=row["next_trial_number"],
        refinement_count=row["refinement_count"],
        counts=counts_of(row),
        best=_best(row, row["best_tuning_run_id"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        observed_at=row["observed_at"],
    )


def tuning_run_record(row: Any) -> TuningRunRecord:
    """Reads a locked tuning run."""
    return TuningRunRecord(
        tuning_run_id=row["tuning_run_id"],
        stage_index=row["stage_index"],
        position=row["position"],
        model_run_id=row["model_run_id"],
        model_type=row["model_type"],
        method=row["method"],
        method_used=row["method_used"],
        state=LifecycleState(row["state"]),
        reason=row["reason"],
        message=row["message"],
        counts=counts_of(row),
        created=row["created"],
        best=_best(row, row["tuning_run_id"]),
        last_end_sequence=row["last_end_sequence"],
        measured_trials=row["measured_trials"],
        mean_duration=row["mean_duration"],
        searcher_epoch=row["searcher_epoch"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )


def stage_record(row: Any) -> StageRecord:
    """Reads a stage of a locked orchestration."""
    return StageRecord(
        index=row["stage_index"],
        method=row["method"],
        state=LifecycleState(row["state"]),
        reason=row["reason"],
        message=row["message"],
        max_active_tuning_runs=row["max_active_tuning_runs"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )


def trial_record(row: Any) -> TrialRecord:
    """Reads a locked trial."""
    return TrialRecord(
        number=row["number"],
        tuning_run_id=row["tuning_run_id"],
        stage_index=row["stage_index"],
        state=TrialState(row["state"]),
        attempt=row["attempt"],
        parameters=row["parameters_proto"],
        candidate_index=row["candidate_index"],
        finished_attempt=row["finished_attempt"],
        reported_splits=row["reported_splits"],
        lost_strikes=row["lost_strikes"],
        crash_strikes=row["crash_strikes"],
        oom_strikes=row["oom_strikes"],
        crash_worker=row["crash_worker"],
        session_id=row["session_id"],
        claim_id=row["claim_id"],
        worker=row["worker"],
        missed_beats=row["missed_beats"],
    )


def orchestration_of(row: Any, stages: Sequence[Stage]) -> Orchestration:
    """Reads an orchestration as it is shown."""
    return Orchestration(
        orchestration_id=row["orchestration_id"],
        workflow=row["workflow"],
        state=LifecycleState(row["state"]),
        reason=row["reason"],
        message=row["message"],
        study_name=row["study_name"],
        counts=counts_of(row),
        stages=tuple(stages),
        best=_best_trial(row),
        last_sequence=row["last_sequence"],
        timings=_timings(row, row["observed_at"]),
        scoring_metric=row["scoring_metric"],
        cv_folds=row["cv_folds"],
        random_state=row["random_state"],
        max_concurrent_trials=row["max_concurrent_trials"],
    )


def stage_of(row: Any, runs: Sequence[TuningRun], now: datetime) -> Stage:
    """Reads a stage as it is shown, with its tuning runs."""
    counts = TrialCounts()
    for run in runs:
        counts = counts + run.counts
    scores = [run.best.score for run in runs if run.best is not None]
    return Stage(
        index=row["stage_index"],
        method=row["method"],
        state=LifecycleState(row["state"]),
        reason=row["reason"],
        message=row["message"],
        best_score=max(scores, default=None),
        counts=counts,
        timings=_timings(row, now),
        tuning_runs=tuple(runs),
        max_active_tuning_runs=row["max_active_tuning_runs"],
        refinement_factor=row["refinement_factor"],
    )


def tuning_run_of(row: Any) -> TuningRun:
    """Reads a tuning run as it is shown."""
    return TuningRun(
        tuning_run_id=row["tuning_run_id"],
        orchestration_id=row["orchestration_id"],
        stage_index=row["stage_index"],
        model_run_id=row["model_run_id"],
        model_type=row["model_type"],
        method=row["method"],
        method_used=row["method_used"],
        state=LifecycleState(row["state"]),
        reason=row["reason"],
        message=row["message"],
        space=space_from_proto(search_space_pb2.SearchSpace.FromString(row["space_proto"])),
        original_space=space_from_proto(
            search_space_pb2.SearchSpace.FromString(row["original_space_proto"])
        ),
        trial_budget=row["trial_budget"],
        total_combinations=row["total_combinations"],
        counts=counts_of(row),
        best=_best_trial(row),
        timings=_timings(row, row["observed_at"]),
        metrics=tuple(row["metrics"]),
        cv_folds=row["cv_folds"],
        random_state=row["random_state"],
    )


def trial_of(row: Any) -> Trial:
    """Reads a trial as it is shown."""
    return Trial(
        orchestration_id=row["orchestration_id"],
        number=row["number"],
        tuning_run_id=row["tuning_run_id"],
        stage_index=row["stage_index"],
        state=TrialState(row["state"]),
        attempt=row["attempt"],
        parameters=assignment_from_proto(
            search_space_pb2.Assignment.FromString(row["parameters_proto"])
        ),
        candidate_index=row["candidate_index"],
        phase=row["phase"],
        suggestion_index=row["suggestion_index"],
        suggested_at_sequence=row["suggested_at_sequence"],
        score=row["score"],
        metrics=decoded_metrics(row["metrics_proto"]),
        failure=_failure(row),
        worker=row["worker"],
        fit_seconds=row["fit_seconds"],
        score_seconds=row["score_seconds"],
        queued_at=row["queued_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


def encoded_metrics(metrics: Sequence[SplitScores]) -> bytes | None:
    """Encodes split scores for `metrics_proto`; None without any."""
    if not metrics:
        return None
    return trial_pb2.Trial(metrics=scores_to_proto(metrics)).SerializeToString()


def decoded_metrics(encoded: bytes | None) -> tuple[SplitScores, ...]:
    """Decodes `metrics_proto`."""
    if encoded is None:
        return ()
    return scores_from_proto(trial_pb2.Trial.FromString(encoded).metrics)


def _failure(row: Any) -> Failure | None:
    if row["failure_kind"] is None:
        return None
    return Failure(kind=FailureKind(row["failure_kind"]), message=row["failure_message"])


def _best(row: Any, tuning_run_id: str) -> Best | None:
    if row["best_number"] is None:
        return None
    return Best(
        number=row["best_number"],
        tuning_run_id=tuning_run_id,
        score=row["best_score"],
        rank=tuple(row["best_rank"]),
    )


def _best_trial(row: Any) -> BestTrial | None:
    if row["best_number"] is None:
        return None
    return BestTrial(
        trial_number=row["best_number"],
        tuning_run_id=row["best_tuning_run_id"],
        model_run_id=row["best_model_run_id"],
        model_type=row["best_model_type"],
        method=row["best_method"],
        score=row["best_score"],
        parameters=assignment_from_proto(
            search_space_pb2.Assignment.FromString(row["best_parameters"])
        ),
    )


def _timings(row: Any, now: datetime) -> Timings:
    started, ended = row["started_at"], row["ended_at"]
    duration = 0.0
    if started is not None:
        duration = max(0.0, ((ended or now) - started).total_seconds())
    return Timings(
        created_at=row["created_at"],
        started_at=started,
        ended_at=ended,
        duration_seconds=duration,
    )

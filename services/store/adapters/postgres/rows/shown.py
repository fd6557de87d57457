"""Rows as they are shown to people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.common.convert.objectives import evaluation_from_proto
from services.common.convert.pruning import decision_from_proto
from services.common.convert.spaces import space_from_proto
from services.common.convert.start_points import start_points_from_proto
from services.common.convert.trials import (
    interval_method_from_proto,
    scores_from_proto,
    splits_from_proto,
)
from services.common.convert.values import assignment_from_proto
from services.core.budget import Budget, BudgetUse
from services.core.plan import LifecycleState
from services.core.run import (
    BaselineTrial,
    BestTrial,
    Orchestration,
    Stage,
    Timings,
    TrialCounts,
    TuningRun,
)
from services.core.splitting import Splitter
from services.core.start_points import NO_START_POINTS, StartPoints
from services.core.trial import Failure, FailureKind, Trial, TrialState
from services.store.adapters.postgres.rows.columns import (
    budget_of,
    counts_of,
    decoded_rules,
    decoded_selection,
    decoded_stage,
    pruning_of,
)
from tuning.v1 import objective_pb2, search_space_pb2, trial_pb2


def orchestration_of(row: Any, stages: Sequence[Stage]) -> Orchestration:
    """Reads an orchestration as it is shown."""
    budget = budget_of(row)
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
        first_sequence=row["first_sequence"],
        last_sequence=row["last_sequence"],
        timings=_timings(row, row["observed_at"]),
        scoring_metric=row["scoring_metric"],
        cv_folds=row["cv_folds"],
        random_state=row["random_state"],
        max_concurrent_trials=row["max_concurrent_trials"],
        budget=budget,
        used=_use_of(row, budget),
        priority=row["priority"],
        worker_class=row["worker_class"],
        stopping=decoded_rules(row["stopping_proto"]),
        selection=decoded_selection(row["selection_proto"]),
    )


def _use_of(row: Any, budget: Budget) -> BudgetUse:
    active, since = row["active_seconds"], row["active_since"]
    if since is not None:
        active += max(0.0, (row["observed_at"] - since).total_seconds())
    return BudgetUse(
        active_seconds=active,
        cost=row["cost"],
        reserved_cost=row["reserved_attempts"] * budget.reservation,
        copied_trials=row["copied"],
    )


def stage_of(row: Any, runs: Sequence[TuningRun], now: datetime) -> Stage:
    """Reads a stage as it is shown, with its tuning runs."""
    counts = TrialCounts()
    for run in runs:
        counts = counts + run.counts
    scores = [run.best.score for run in runs if run.best is not None]
    asked = decoded_stage(row["plan_proto"])
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
        refinement=asked.refinement,
        explore=asked.explore,
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
        # Until it is closed, why it will be.
        reason=row["reason"] or row["stop_reason"],
        message=row["message"],
        space=space_from_proto(search_space_pb2.SearchSpace.FromString(row["space_proto"])),
        original_space=space_from_proto(
            search_space_pb2.SearchSpace.FromString(row["original_space_proto"])
        ),
        trial_budget=row["trial_budget"],
        total_combinations=row["total_combinations"],
        counts=counts_of(row),
        best=_best_trial(row),
        start=_start_points(row["start_proto"]),
        baseline=_baseline(row),
        timings=_timings(row, row["observed_at"]),
        metrics=tuple(row["metrics"]),
        cv_folds=row["cv_folds"],
        random_state=row["random_state"],
        splitter=_splitter(row["evaluation_proto"]),
        stopping=decoded_rules(row["stopping_proto"]),
        pruning=pruning_of(row),
        fits_saved=row["fits_saved"],
    )


def _start_points(encoded: bytes | None) -> StartPoints:
    if encoded is None:
        return NO_START_POINTS
    return start_points_from_proto(search_space_pb2.StartPoints.FromString(encoded))


def _baseline(row: Any) -> BaselineTrial | None:
    if row["baseline_number"] is None:
        return None
    return BaselineTrial(trial_number=row["baseline_number"], score=row["baseline_score"])


def trial_of(row: Any) -> Trial:
    """Reads a trial as it is shown."""
    # The empty message where there are no scores.
    scored = trial_pb2.Trial.FromString(row["metrics_proto"] or b"")
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
        metrics=scores_from_proto(scored.metrics),
        splits=splits_from_proto(scored.splits),
        interval_method=interval_method_from_proto(scored.interval_method),
        failure=_failure(row),
        worker=row["worker"],
        fit_seconds=row["fit_seconds"],
        score_seconds=row["score_seconds"],
        queued_at=row["queued_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        prune_decision=decision_from_proto(scored.prune_decision),
        copied_from=row["copied_from"],
    )


def _splitter(evaluation: bytes) -> Splitter | None:
    return evaluation_from_proto(objective_pb2.EvaluationSpec.FromString(evaluation)).splitter


def _failure(row: Any) -> Failure | None:
    if row["failure_kind"] is None:
        return None
    return Failure(kind=FailureKind(row["failure_kind"]), message=row["failure_message"])


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

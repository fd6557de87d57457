"""Rows locked in a transaction, as the store's use cases take them."""

from __future__ import annotations

from typing import Any

from services.common.convert.trials import (
    interval_method_from_proto,
    scores_from_proto,
    splits_from_proto,
)
from services.core.plan import LifecycleState
from services.core.pruning import Leader
from services.core.stopping import Trend
from services.core.trial import TrialState
from services.store.adapters.postgres.rows.columns import (
    budget_of,
    counts_of,
    decoded_rules,
    pruning_of,
)
from services.store.ports.records import (
    AttemptCost,
    Best,
    FinishedTrial,
    OrchestrationRecord,
    StageRecord,
    TrialRecord,
    TuningRunRecord,
)
from tuning.v1 import trial_pb2


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
        worker_class=row["worker_class"],
        budget=budget_of(row),
        active_seconds=row["active_seconds"],
        active_since=row["active_since"],
        deadline_at=row["deadline_at"],
        cost=row["cost"],
        reserved_attempts=row["reserved_attempts"],
        workers_missing=row["workers_missing"],
        stopping=decoded_rules(row["stopping_proto"]),
        trend=_trend(row),
        copied=row["copied"],
    )


def finished_trial(row: Any) -> FinishedTrial:
    """Reads the result of a SUCCEEDED trial."""
    scored = trial_pb2.Trial.FromString(row["metrics_proto"] or b"")
    return FinishedTrial(
        number=row["number"],
        model_run_id=row["model_run_id"],
        parameters=row["parameters_proto"],
        score=row["score"],
        metrics=scores_from_proto(scored.metrics),
        splits=splits_from_proto(scored.splits),
        interval_method=interval_method_from_proto(scored.interval_method),
    )


def attempt_cost(row: Any) -> AttemptCost:
    """Reads what an attempt costs."""
    return AttemptCost(
        number=row["number"],
        attempt=row["attempt"],
        started_at=row["started_at"],
        reserved=row["reserved"],
        charged=row["charged"],
        left_at=row["left_at"],
        expires_at=row["expires_at"],
        settled=row["settled"],
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
        trial_budget=row["trial_budget"],
        total_combinations=row["total_combinations"],
        counts=counts_of(row),
        created=row["created"],
        best=_best(row, row["tuning_run_id"]),
        last_end_sequence=row["last_end_sequence"],
        measured_trials=row["measured_trials"],
        mean_duration=row["mean_duration"],
        searcher_epoch=row["searcher_epoch"],
        metrics=tuple(row["metrics"]),
        cv_folds=row["cv_folds"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        stopping=decoded_rules(row["stopping_proto"]),
        trend=_trend(row),
        stop_reason=row["stop_reason"],
        pruning=pruning_of(row),
        leaders=_leaders(row),
        fits_saved=row["fits_saved"],
    )


def _leaders(row: Any) -> tuple[Leader, ...]:
    places = row["leader_places"]
    return tuple(
        Leader(score=score, place=(candidate, number))
        for score, candidate, number in zip(
            row["leader_scores"], places[::2], places[1::2], strict=True
        )
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
        infra_failures=row["infra_failures"],
        infra_since=row["infra_since"],
        crash_worker=row["crash_worker"],
        session_id=row["session_id"],
        claim_id=row["claim_id"],
        worker=row["worker"],
        missed_beats=row["missed_beats"],
        not_before=row["not_before"],
    )


def _trend(row: Any) -> Trend:
    return Trend(reference=row["plateau_reference"], flat_trials=row["flat_trials"])


def _best(row: Any, tuning_run_id: str) -> Best | None:
    if row["best_number"] is None:
        return None
    return Best(
        number=row["best_number"],
        tuning_run_id=tuning_run_id,
        score=row["best_score"],
        rank=tuple(row["best_rank"]),
    )

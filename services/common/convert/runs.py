"""Orchestrations, stages and tuning runs, to and from protobuf."""

from __future__ import annotations

from services.common.convert.budgets import (
    budget_from_proto,
    budget_to_proto,
    budget_use_from_proto,
    budget_use_to_proto,
)
from services.common.convert.objectives import splitter_from_proto, splitter_to_proto
from services.common.convert.pruning import pruning_from_proto, pruning_to_proto
from services.common.convert.selections import selection_from_proto, selection_to_proto
from services.common.convert.spaces import space_from_proto, space_to_proto
from services.common.convert.start_points import (
    start_points_from_proto,
    start_points_to_proto,
)
from services.common.convert.stopping import stopping_from_proto, stopping_to_proto
from services.common.convert.times import time_from_proto, time_to_proto
from services.common.convert.values import assignment_from_proto, assignment_to_proto
from services.core.plan import DEFAULT_WORKER_CLASS, LifecycleState
from services.core.refinement_rules import FIXED
from services.core.run import (
    BaselineTrial,
    BestTrial,
    Orchestration,
    Stage,
    Timings,
    TrialCounts,
    TuningRun,
)
from tuning.v1 import orchestration_pb2 as pb

_STATES = {each: pb.LifecycleState.Value(f"LIFECYCLE_STATE_{each.name}") for each in LifecycleState}
_STATES_BY_PROTO = {number: each for each, number in _STATES.items()}


def lifecycle_state_to_proto(state: LifecycleState) -> pb.LifecycleState.ValueType:
    """Encodes a state."""
    return _STATES[state]


def lifecycle_state_from_proto(number: pb.LifecycleState.ValueType) -> LifecycleState:
    """Decodes a state.

    Raises: ValueError: the number names none.
    """
    try:
        return _STATES_BY_PROTO[number]
    except KeyError:
        raise ValueError(f"{number} is no lifecycle state") from None


def counts_to_proto(counts: TrialCounts) -> pb.TrialCounts:
    """Encodes trial counts."""
    return pb.TrialCounts(
        total=counts.total,
        completed=counts.completed,
        queued=counts.queued,
        running=counts.running,
        succeeded=counts.succeeded,
        failed=counts.failed,
        pruned=counts.pruned,
        cancelled=counts.cancelled,
    )


def counts_from_proto(message: pb.TrialCounts) -> TrialCounts:
    """Decodes trial counts."""
    return TrialCounts(
        total=message.total,
        queued=message.queued,
        running=message.running,
        succeeded=message.succeeded,
        failed=message.failed,
        pruned=message.pruned,
        cancelled=message.cancelled,
    )


def best_to_proto(best: BestTrial | None) -> pb.BestTrial | None:
    """Encodes a best trial; None stays absent."""
    if best is None:
        return None
    return pb.BestTrial(
        trial_number=best.trial_number,
        tuning_run_id=best.tuning_run_id,
        model_run_id=best.model_run_id,
        model_type=best.model_type,
        method=best.method,
        score=best.score,
        parameters=assignment_to_proto(best.parameters),
    )


def best_from_proto(message: pb.BestTrial) -> BestTrial | None:
    """Decodes a best trial; the empty message is None."""
    if not message.tuning_run_id:
        return None
    return BestTrial(
        trial_number=message.trial_number,
        tuning_run_id=message.tuning_run_id,
        model_run_id=message.model_run_id,
        model_type=message.model_type,
        method=message.method,
        score=message.score,
        parameters=assignment_from_proto(message.parameters),
    )


def timings_to_proto(timings: Timings) -> pb.Timings:
    """Encodes timings."""
    return pb.Timings(
        created_at=time_to_proto(timings.created_at),
        started_at=time_to_proto(timings.started_at),
        ended_at=time_to_proto(timings.ended_at),
        duration_seconds=timings.duration_seconds,
        remaining_seconds=timings.remaining_seconds,
    )


def timings_from_proto(message: pb.Timings) -> Timings:
    """Decodes timings."""
    return Timings(
        created_at=time_from_proto(message.created_at),
        started_at=time_from_proto(message.started_at),
        ended_at=time_from_proto(message.ended_at),
        duration_seconds=message.duration_seconds,
        remaining_seconds=(
            message.remaining_seconds if message.HasField("remaining_seconds") else None
        ),
    )


def baseline_to_proto(run: TuningRun) -> pb.BaselineTrial | None:
    """Encodes the baseline of a tuning run, with the improvement over it; None stays absent."""
    if run.baseline is None:
        return None
    return pb.BaselineTrial(
        trial_number=run.baseline.trial_number,
        score=run.baseline.score,
        improvement=run.improvement,
    )


def baseline_from_proto(message: pb.TuningRun) -> BaselineTrial | None:
    """Decodes the baseline of a tuning run."""
    if not message.HasField("baseline"):
        return None
    baseline = message.baseline
    return BaselineTrial(
        trial_number=baseline.trial_number,
        score=baseline.score if baseline.HasField("score") else None,
    )


def tuning_run_to_proto(run: TuningRun) -> pb.TuningRun:
    """Encodes a tuning run."""
    return pb.TuningRun(
        tuning_run_id=run.tuning_run_id,
        orchestration_id=run.orchestration_id,
        stage_index=run.stage_index,
        model_run_id=run.model_run_id,
        model_type=run.model_type,
        method=run.method,
        method_used=run.method_used,
        state=lifecycle_state_to_proto(run.state),
        reason=run.reason,
        message=run.message,
        space=space_to_proto(run.space),
        original_space=space_to_proto(run.original_space),
        trial_budget=run.trial_budget,
        total_combinations=run.total_combinations,
        counts=counts_to_proto(run.counts),
        best=best_to_proto(run.best),
        timings=timings_to_proto(run.timings),
        metrics=run.metrics,
        cv_folds=run.cv_folds,
        random_state=run.random_state,
        splitter=splitter_to_proto(run.splitter),
        stopping=stopping_to_proto(run.stopping),
        pruning=pruning_to_proto(run.pruning),
        fits_saved=run.fits_saved,
        start=start_points_to_proto(run.start),
        baseline=baseline_to_proto(run),
    )


def tuning_run_from_proto(message: pb.TuningRun) -> TuningRun:
    """Decodes a tuning run."""
    return TuningRun(
        tuning_run_id=message.tuning_run_id,
        orchestration_id=message.orchestration_id,
        stage_index=message.stage_index,
        model_run_id=message.model_run_id,
        model_type=message.model_type,
        method=message.method,
        method_used=message.method_used,
        state=lifecycle_state_from_proto(message.state),
        reason=message.reason,
        message=message.message,
        space=space_from_proto(message.space),
        original_space=space_from_proto(message.original_space),
        trial_budget=message.trial_budget if message.HasField("trial_budget") else None,
        total_combinations=(
            message.total_combinations if message.HasField("total_combinations") else None
        ),
        counts=counts_from_proto(message.counts),
        best=best_from_proto(message.best),
        timings=timings_from_proto(message.timings),
        metrics=tuple(message.metrics),
        cv_folds=message.cv_folds,
        random_state=message.random_state,
        splitter=splitter_from_proto(message.splitter) if message.HasField("splitter") else None,
        stopping=stopping_from_proto(message.stopping),
        pruning=pruning_from_proto(message.pruning) if message.HasField("pruning") else None,
        fits_saved=message.fits_saved,
        start=start_points_from_proto(message.start),
        baseline=baseline_from_proto(message),
    )


def stage_to_proto(stage: Stage) -> pb.Stage:
    """Encodes a stage."""
    return pb.Stage(
        index=stage.index,
        method=stage.method,
        state=lifecycle_state_to_proto(stage.state),
        reason=stage.reason,
        message=stage.message,
        best_score=stage.best_score,
        counts=counts_to_proto(stage.counts),
        timings=timings_to_proto(stage.timings),
        tuning_runs=[tuning_run_to_proto(each) for each in stage.tuning_runs],
        max_active_tuning_runs=stage.max_active_tuning_runs,
        refinement_factor=stage.refinement_factor,
        refinement="" if stage.refinement_factor is None else stage.refinement,
        explore=stage.explore,
    )


def stage_from_proto(message: pb.Stage) -> Stage:
    """Decodes a stage."""
    return Stage(
        index=message.index,
        method=message.method,
        state=lifecycle_state_from_proto(message.state),
        reason=message.reason,
        message=message.message,
        best_score=message.best_score if message.HasField("best_score") else None,
        counts=counts_from_proto(message.counts),
        timings=timings_from_proto(message.timings),
        tuning_runs=tuple(tuning_run_from_proto(each) for each in message.tuning_runs),
        max_active_tuning_runs=message.max_active_tuning_runs,
        refinement_factor=(
            message.refinement_factor if message.HasField("refinement_factor") else None
        ),
        refinement=message.refinement or FIXED,
        explore=message.explore,
    )


def orchestration_to_proto(orchestration: Orchestration) -> pb.Orchestration:
    """Encodes an orchestration."""
    return pb.Orchestration(
        orchestration_id=orchestration.orchestration_id,
        workflow=orchestration.workflow,
        state=lifecycle_state_to_proto(orchestration.state),
        reason=orchestration.reason,
        message=orchestration.message,
        study_name=orchestration.study_name,
        counts=counts_to_proto(orchestration.counts),
        percentage=orchestration.percentage,
        stages=[stage_to_proto(each) for each in orchestration.stages],
        best=best_to_proto(orchestration.best),
        last_sequence=orchestration.last_sequence,
        timings=timings_to_proto(orchestration.timings),
        scoring_metric=orchestration.scoring_metric,
        cv_folds=orchestration.cv_folds,
        random_state=orchestration.random_state,
        max_concurrent_trials=orchestration.max_concurrent_trials,
        budget=budget_to_proto(orchestration.budget),
        used=budget_use_to_proto(orchestration.used),
        priority=orchestration.priority,
        worker_class=orchestration.worker_class,
        first_sequence=orchestration.first_sequence,
        stopping=stopping_to_proto(orchestration.stopping),
        selection=selection_to_proto(orchestration.selection),
    )


def orchestration_from_proto(message: pb.Orchestration) -> Orchestration:
    """Decodes an orchestration."""
    return Orchestration(
        orchestration_id=message.orchestration_id,
        workflow=message.workflow,
        state=lifecycle_state_from_proto(message.state),
        reason=message.reason,
        message=message.message,
        study_name=message.study_name,
        counts=counts_from_proto(message.counts),
        stages=tuple(stage_from_proto(each) for each in message.stages),
        best=best_from_proto(message.best),
        last_sequence=message.last_sequence,
        timings=timings_from_proto(message.timings),
        scoring_metric=message.scoring_metric,
        cv_folds=message.cv_folds,
        random_state=message.random_state,
        max_concurrent_trials=message.max_concurrent_trials,
        budget=budget_from_proto(message.budget),
        used=budget_use_from_proto(message.used),
        priority=message.priority,
        worker_class=message.worker_class or DEFAULT_WORKER_CLASS,
        first_sequence=message.first_sequence or 1,
        stopping=stopping_from_proto(message.stopping),
        selection=selection_from_proto(message.selection),
    )

"""Orchestrations, their stages and tuning runs."""

from __future__ import annotations

from crescendo.client.decoding.spaces import space
from crescendo.client.decoding.states import lifecycle_state, step_kind, timestamp
from crescendo.client.model import (
    Baseline,
    Best,
    Budget,
    BudgetUse,
    Counts,
    Orchestration,
    Pruning,
    Selection,
    Splitter,
    Stage,
    StoppingRules,
    Timings,
    TuningRun,
)
from crescendo.client.values import parameters_from_proto
from tuning.v1 import orchestration_pb2 as orchestration_pb

_SIMPLER = {
    orchestration_pb.SIMPLER_VALUES_LOWER: "lower",
    orchestration_pb.SIMPLER_VALUES_HIGHER: "higher",
}


def counts(message: orchestration_pb.TrialCounts) -> Counts:
    """Decodes counts."""
    return Counts(
        total=message.total,
        completed=message.completed,
        queued=message.queued,
        running=message.running,
        succeeded=message.succeeded,
        failed=message.failed,
        pruned=message.pruned,
        cancelled=message.cancelled,
    )


def best(message: orchestration_pb.BestTrial) -> Best:
    """Decodes a best trial."""
    return Best(
        trial_number=message.trial_number,
        score=message.score,
        parameters=parameters_from_proto(message.parameters),
        method=message.method,
        model_type=message.model_type,
        model_run_id=message.model_run_id,
        tuning_run_id=message.tuning_run_id,
    )


def timings(message: orchestration_pb.Timings) -> Timings:
    """Decodes timings."""
    known = message.HasField("remaining_seconds")
    return Timings(
        created_at=timestamp(message.created_at),
        started_at=timestamp(message.started_at),
        ended_at=timestamp(message.ended_at),
        duration_seconds=message.duration_seconds,
        remaining_seconds=message.remaining_seconds if known else None,
    )


def baseline(message: orchestration_pb.BaselineTrial) -> Baseline:
    """Decodes the trial of the current parameters."""
    return Baseline(
        trial_number=message.trial_number,
        score=message.score if message.HasField("score") else None,
        improvement=message.improvement if message.HasField("improvement") else None,
    )


def tuning_run(message: orchestration_pb.TuningRun) -> TuningRun:
    """Decodes a tuning run."""
    finite = message.HasField("total_combinations")
    return TuningRun(
        tuning_run_id=message.tuning_run_id,
        orchestration_id=message.orchestration_id,
        stage_index=message.stage_index,
        model_run_id=message.model_run_id,
        model_type=message.model_type,
        method=message.method,
        method_used=message.method_used,
        state=lifecycle_state(message.state),
        reason=message.reason,
        message=message.message,
        space=space(message.space),
        original_space=space(message.original_space),
        total_combinations=message.total_combinations if finite else None,
        counts=counts(message.counts),
        best=best(message.best) if message.HasField("best") else None,
        timings=timings(message.timings),
        metrics=tuple(message.metrics),
        baseline=baseline(message.baseline) if message.HasField("baseline") else None,
        splitter=(
            Splitter(**{field.name: value for field, value in message.splitter.ListFields()})
            if message.HasField("splitter")
            else None
        ),
        stopping=stopping(message.stopping),
        pruning=pruning(message.pruning) if message.HasField("pruning") else None,
        fits_saved=message.fits_saved,
    )


def pruning(message: orchestration_pb.Pruning) -> Pruning:
    """Decodes how trials are stopped early."""
    figures = {field.name: value for field, value in message.ListFields()}
    figures["step_kind"] = step_kind(message.step_kind)
    return Pruning(**figures)


def stopping(message: orchestration_pb.StoppingRules) -> StoppingRules:
    """Decodes stopping rules."""
    return StoppingRules(**{field.name: value for field, value in message.ListFields()})


def selection(message: orchestration_pb.Selection) -> Selection:
    """Decodes how the best model is selected; what is absent is `best`."""
    return Selection(
        rule=message.rule or "best",
        simpler={each.parameter: _SIMPLER.get(each.prefer, "") for each in message.simpler},
    )


def stage(message: orchestration_pb.Stage) -> Stage:
    """Decodes a stage."""
    return Stage(
        index=message.index,
        method=message.method,
        state=lifecycle_state(message.state),
        reason=message.reason,
        message=message.message,
        best_score=message.best_score if message.HasField("best_score") else None,
        counts=counts(message.counts),
        timings=timings(message.timings),
        tuning_runs=tuple(tuning_run(each) for each in message.tuning_runs),
        refinement=message.refinement,
        refinement_factor=(
            message.refinement_factor if message.HasField("refinement_factor") else None
        ),
        explore=message.explore,
    )


def orchestration(message: orchestration_pb.Orchestration) -> Orchestration:
    """Decodes an orchestration."""
    return Orchestration(
        orchestration_id=message.orchestration_id,
        workflow=message.workflow,
        state=lifecycle_state(message.state),
        reason=message.reason,
        message=message.message,
        study_name=message.study_name,
        counts=counts(message.counts),
        percentage=message.percentage,
        stages=tuple(stage(each) for each in message.stages),
        best=best(message.best) if message.HasField("best") else None,
        last_sequence=message.last_sequence,
        timings=timings(message.timings),
        scoring_metric=message.scoring_metric,
        cv_folds=message.cv_folds,
        random_state=message.random_state,
        max_concurrent_trials=message.max_concurrent_trials,
        budget=Budget(**{field.name: value for field, value in message.budget.ListFields()}),
        used=BudgetUse(
            active_seconds=message.used.active_seconds,
            cost=message.used.cost,
            reserved_cost=message.used.reserved_cost,
            copied_trials=message.used.copied_trials,
        ),
        priority=message.priority,
        worker_class=message.worker_class,
        stopping=stopping(message.stopping),
        selection=selection(message.selection),
    )

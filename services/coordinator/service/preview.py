"""Plans as they would be stored, and as orchestrations that do not exist yet."""

from __future__ import annotations

from dataclasses import replace

from services.core.plan import LifecycleState, Plan, StagePlan, TuningRunPlan
from services.core.run import Orchestration, Stage, Timings, TrialCounts, TuningRun

# What the store and the protocol count with.
_MAX_COUNT = 2**63 - 1


def storable(plan: Plan) -> Plan:
    """Leaves out counts of points too large to be stored: such a space is as good as infinite."""
    return replace(
        plan,
        stages=tuple(
            replace(
                stage,
                tuning_runs=tuple(
                    replace(run, total_combinations=countable(run.total_combinations))
                    for run in stage.tuning_runs
                ),
            )
            for stage in plan.stages
        ),
    )


def countable(points: int | None) -> int | None:
    """A number of points, or None when it is infinite or too large to be stored."""
    return points if points is None or points <= _MAX_COUNT else None


def preview(plan: Plan) -> Orchestration:
    """Shows a plan as an orchestration without ids, everything PENDING."""
    stages = tuple(_stage(plan, index, stage) for index, stage in enumerate(plan.stages))
    return Orchestration(
        orchestration_id="",
        workflow=plan.workflow,
        state=LifecycleState.PENDING,
        reason="",
        message="; ".join(plan.notices),
        study_name=plan.study_name,
        counts=sum((stage.counts for stage in stages), TrialCounts()),
        stages=stages,
        best=None,
        last_sequence=0,
        timings=Timings(),
        scoring_metric=plan.scoring_metric,
        cv_folds=plan.cv_folds,
        random_state=plan.random_state,
        max_concurrent_trials=plan.max_concurrent_trials,
        budget=plan.budget,
        priority=plan.priority,
        worker_class=plan.worker_class,
        stopping=plan.stopping,
        selection=plan.selection,
    )


def _stage(plan: Plan, index: int, stage: StagePlan) -> Stage:
    runs = tuple(_tuning_run(plan, index, stage.method, run) for run in stage.tuning_runs)
    return Stage(
        index=index,
        method=stage.method,
        state=LifecycleState.PENDING,
        reason="",
        message="",
        best_score=None,
        counts=sum((run.counts for run in runs), TrialCounts()),
        timings=Timings(),
        tuning_runs=runs,
        max_active_tuning_runs=stage.max_active_tuning_runs,
        refinement_factor=stage.refinement_factor,
        refinement=stage.refinement,
        explore=stage.explore,
    )


def _tuning_run(plan: Plan, index: int, method: str, run: TuningRunPlan) -> TuningRun:
    return TuningRun(
        tuning_run_id="",
        orchestration_id="",
        stage_index=index,
        model_run_id=run.model_run_id,
        model_type=run.model_type,
        method=method,
        method_used=method,
        state=LifecycleState.PENDING,
        reason="",
        message="",
        space=run.space,
        original_space=run.space,
        trial_budget=run.trial_budget,
        total_combinations=run.total_combinations,
        counts=TrialCounts(total=run.planned_trials),
        best=None,
        start=run.start,
        timings=Timings(),
        metrics=run.evaluation.metrics,
        stopping=run.stopping,
        cv_folds=plan.cv_folds,
        random_state=plan.random_state,
        splitter=run.evaluation.splitter,
        pruning=run.pruning,
    )

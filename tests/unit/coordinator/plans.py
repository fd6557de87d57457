"""Plans for tests of conducting."""

from __future__ import annotations

from services.core.budget import Budget
from services.core.objective import EvaluationSpec
from services.core.plan import Plan, StagePlan, TuningRunPlan
from services.core.space import Grid, Parameter, SearchSpace

SPACE = SearchSpace(
    parameters=(
        Parameter(name="C", domain=Grid(values=(0.1, 1.0, 10.0, 100.0))),
        Parameter(name="degree", domain=Grid(values=(1, 2, 3))),
    )
)


def run_plan(
    budget: int | None, *, space: SearchSpace = SPACE, model_run_id: str = "m"
) -> TuningRunPlan:
    """One tuning run: a grid of 12 points, or `budget` trials."""
    return TuningRunPlan(
        model_run_id=model_run_id,
        model_type="svm_classifier",
        space=space,
        trial_budget=budget,
        planned_trials=12 if budget is None else budget,
        total_combinations=12,
        evaluation=EvaluationSpec(
            dataset_id="sklearn:iris",
            dataset_hash="0" * 64,
            model_type="svm_classifier",
            metrics=("accuracy",),
        ),
    )


def plan(*stages: StagePlan, max_concurrent: int = 0, max_trials: int | None = None) -> Plan:
    """A plan of stages."""
    return Plan(
        workflow="tuning" if len(stages) == 1 else "progressive_search",
        study_name="",
        stages=stages,
        scoring_metric="accuracy",
        cv_folds=5,
        random_state=42,
        max_concurrent_trials=max_concurrent,
        budget=Budget(max_trials=max_trials),
    )


def grid_plan(*, max_trials: int | None = None) -> Plan:
    """A grid of 12 points."""
    stage = StagePlan(method="grid_search", tuning_runs=(run_plan(None),))
    return plan(stage, max_trials=max_trials)


def comparison_plan(*, max_trials: int) -> Plan:
    """Two tuning runs of 12 points each, side by side, that take from one budget."""
    runs = (run_plan(None), run_plan(None, model_run_id="other"))
    return plan(StagePlan(method="grid_search", tuning_runs=runs), max_trials=max_trials)


def random_plan(budget: int) -> Plan:
    """`budget` random trials."""
    return plan(StagePlan(method="random_search", tuning_runs=(run_plan(budget),)))


def bayesian_plan(budget: int, *, max_concurrent: int = 0) -> Plan:
    """`budget` trials of a model-based method."""
    stage = StagePlan(method="bayesian", tuning_runs=(run_plan(budget),))
    return plan(stage, max_concurrent=max_concurrent)


def progressive_plan(*, n_random: int, n_bayesian: int) -> Plan:
    """A grid of 12, then random, then model-based trials."""
    return plan(
        StagePlan(method="grid_search", tuning_runs=(run_plan(None),)),
        StagePlan(method="random_search", tuning_runs=(run_plan(n_random),), refinement_factor=0.3),
        StagePlan(method="bayesian", tuning_runs=(run_plan(n_bayesian),), refinement_factor=0.3),
    )

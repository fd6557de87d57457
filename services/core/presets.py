"""Presets: what a request comes down to, as a plan of stages. Their parts are validated before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.core.hull import hull_space
from services.core.objective import EvaluationSpec
from services.core.plan import (
    BAYESIAN,
    CROSS_VALIDATION,
    GRID_SEARCH,
    MULTI_MODEL_COMPARISON,
    PROGRESSIVE_SEARCH,
    RANDOM_SEARCH,
    TUNING,
    Plan,
    StagePlan,
    TuningRunPlan,
)
from services.core.space import Assignment, Fixed, Parameter, SearchSpace, cardinality


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningSubject:
    """One model run to tune, with the space asked for."""

    model_run_id: str
    model_type: str
    space: SearchSpace
    evaluation: EvaluationSpec


def progressive_search(
    *,
    subject: TuningSubject,
    refinement_factor: float,
    n_iter_random: int,
    n_iter_bayesian: int,
    max_concurrent_trials: int = 0,
    study_name: str = "",
    notices: Sequence[str] = (),
) -> Plan:
    """Plans grid → random → bayesian for one model run; the stages after the grid are refined."""
    return _plan(
        PROGRESSIVE_SEARCH,
        stages=(
            StagePlan(
                method=GRID_SEARCH, tuning_runs=(tuning_run(subject, GRID_SEARCH, trials=None),)
            ),
            StagePlan(
                method=RANDOM_SEARCH,
                tuning_runs=(_between(subject, RANDOM_SEARCH, trials=n_iter_random),),
                refinement_factor=refinement_factor,
            ),
            StagePlan(
                method=BAYESIAN,
                tuning_runs=(_between(subject, BAYESIAN, trials=n_iter_bayesian),),
                refinement_factor=refinement_factor,
            ),
        ),
        evaluation=subject.evaluation,
        max_concurrent_trials=max_concurrent_trials,
        study_name=study_name,
        notices=notices,
    )


def multi_model_comparison(
    *,
    subjects: Sequence[TuningSubject],
    method: str,
    n_iter: int,
    parallel: bool,
    max_concurrent_trials: int = 0,
    study_name: str = "",
    notices: Sequence[str] = (),
) -> Plan:
    """Plans one stage that tunes every model run by one method.

    Raises: ValueError: there are no model runs.
    """
    if not subjects:
        raise ValueError("a comparison needs model runs")
    stage = StagePlan(
        method=method,
        tuning_runs=tuple(tuning_run(each, method, trials=n_iter) for each in subjects),
        max_active_tuning_runs=0 if parallel else 1,
    )
    return _plan(
        MULTI_MODEL_COMPARISON,
        stages=(stage,),
        evaluation=subjects[0].evaluation,
        max_concurrent_trials=max_concurrent_trials,
        study_name=study_name,
        notices=notices,
    )


def single_tuning(
    *,
    subject: TuningSubject,
    method: str,
    n_iter: int,
    max_concurrent_trials: int = 0,
    study_name: str = "",
    notices: Sequence[str] = (),
) -> Plan:
    """Plans one tuning run."""
    stage = StagePlan(method=method, tuning_runs=(tuning_run(subject, method, trials=n_iter),))
    return _plan(
        TUNING,
        stages=(stage,),
        evaluation=subject.evaluation,
        max_concurrent_trials=max_concurrent_trials,
        study_name=study_name,
        notices=notices,
    )


def cross_validation(
    *,
    model_run_id: str,
    model_type: str,
    parameters: Assignment,
    evaluation: EvaluationSpec,
    study_name: str = "",
    notices: Sequence[str] = (),
) -> Plan:
    """Plans the evaluation of one point."""
    space = SearchSpace.of(
        Parameter(name=name, domain=Fixed(value=value)) for name, value in parameters.items()
    )
    subject = TuningSubject(
        model_run_id=model_run_id, model_type=model_type, space=space, evaluation=evaluation
    )
    stage = StagePlan(
        method=CROSS_VALIDATION, tuning_runs=(tuning_run(subject, CROSS_VALIDATION, trials=None),)
    )
    return _plan(
        CROSS_VALIDATION,
        stages=(stage,),
        evaluation=evaluation,
        max_concurrent_trials=0,
        study_name=study_name,
        notices=notices,
    )


def tuning_run(subject: TuningSubject, method: str, *, trials: int | None) -> TuningRunPlan:
    """Plans one tuning run; `trials` counts for random and bayesian search only.

    The bayesian method goes between the values of a list of numbers, the others take lists as given.
    """
    space = hull_space(subject.space) if method == BAYESIAN else subject.space
    budget = trials if method in (RANDOM_SEARCH, BAYESIAN) else None
    return TuningRunPlan(
        model_run_id=subject.model_run_id,
        model_type=subject.model_type,
        space=space,
        trial_budget=budget,
        planned_trials=planned_trials(space, budget),
        total_combinations=cardinality(space),
        evaluation=subject.evaluation,
    )


def planned_trials(space: SearchSpace, budget: int | None) -> int:
    """Counts the trials a tuning run will have: its budget, or every point when there are fewer.

    Raises: ValueError: neither the budget nor the space sets a limit.
    """
    points = cardinality(space)
    limits = [each for each in (budget, points) if each is not None]
    if not limits:
        raise ValueError("an infinite space needs a budget")
    return min(limits)


def _between(subject: TuningSubject, method: str, *, trials: int) -> TuningRunPlan:
    # Stages that follow a grid search go between its values; refinement narrows this space.
    spanned = TuningSubject(
        model_run_id=subject.model_run_id,
        model_type=subject.model_type,
        space=hull_space(subject.space),
        evaluation=subject.evaluation,
    )
    return tuning_run(spanned, method, trials=trials)


def _plan(
    workflow: str,
    *,
    stages: tuple[StagePlan, ...],
    evaluation: EvaluationSpec,
    max_concurrent_trials: int,
    study_name: str,
    notices: Sequence[str],
) -> Plan:
    return Plan(
        workflow=workflow,
        study_name=study_name,
        stages=stages,
        scoring_metric=evaluation.metrics[0],
        cv_folds=evaluation.cv_folds,
        random_state=evaluation.random_state,
        max_concurrent_trials=max_concurrent_trials,
        notices=tuple(notices),
    )

"""Presets: what a request comes down to, as a plan of stages. Their parts are validated before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.core.budget import UNLIMITED, Budget
from services.core.counting import cardinality
from services.core.grid import DEFAULT_GRID_RESOLUTION, gridded
from services.core.hull import hull_space
from services.core.objective import EvaluationSpec
from services.core.plan import (
    ADAPTIVE_METHODS,
    BAYESIAN,
    BUDGETED_METHODS,
    CROSS_VALIDATION,
    DEFAULT_EXPLORE,
    DEFAULT_WORKER_CLASS,
    GRID_SEARCH,
    MULTI_MODEL_COMPARISON,
    PROGRESSIVE_SEARCH,
    RANDOM_SEARCH,
    TUNING,
    Plan,
    StagePlan,
    TuningRunPlan,
)
from services.core.pruning_plan import with_pruning
from services.core.pruning_settings import Pruning
from services.core.refinement_rules import FIXED
from services.core.selection import BY_SCORE, Selection
from services.core.space import Assignment, Fixed, Parameter, SearchSpace
from services.core.start_points import NO_START_POINTS, StartPoints
from services.core.stopping import NO_RULES, StoppingRules


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningSubject:
    """One model run to tune, with the space asked for.

    Attributes:
        grid_resolution: values a grid search takes of a range without a step; at least 2.
        grid: what a grid search tries in place of the space; None for values of its ranges by that rule.
        start: points of the space that are tried first, in the first stage.
        box: what the first stage searches of its part of the space, where that is a local search; None
            for all of it.
    """

    model_run_id: str
    model_type: str
    space: SearchSpace
    evaluation: EvaluationSpec
    grid_resolution: int = DEFAULT_GRID_RESOLUTION
    grid: SearchSpace | None = None
    start: StartPoints = NO_START_POINTS
    box: SearchSpace | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms a plan runs, whatever it searches.

    Attributes:
        max_concurrent_trials: 0 for no limit.
        study_name: empty without one.
        priority: higher is served before lower.
        notices: things to tell people from the start, as `REASON: words`.
        stopping: what ends all of it early.
        stage_stopping: what ends each tuning run early.
        pruning: how trials are stopped early; None when they are not.
        selection: what of each model is its result.
    """

    max_concurrent_trials: int = 0
    study_name: str = ""
    budget: Budget = UNLIMITED
    priority: int = 0
    worker_class: str = DEFAULT_WORKER_CLASS
    notices: Sequence[str] = ()
    stopping: StoppingRules = NO_RULES
    stage_stopping: StoppingRules = NO_RULES
    pruning: Pruning | None = None
    selection: Selection = BY_SCORE


USUAL_TERMS: Final = Terms()
"""The terms of a request that sets none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageAsk:
    """What one stage of a plan is to do, whatever the models.

    Attributes:
        trials: for methods that run as many as they are asked to.
        parameters: those it searches; empty for all. The others that were searched before are held at
            their best so far.
        refinement_factor: None searches what was asked for; in the first stage nothing else can be.
        stopping: what ends each of its tuning runs early.
        pruning: how its trials are stopped early; None leaves it to the plan's terms.
    """

    method: str
    trials: int | None = None
    parameters: tuple[str, ...] = ()
    refinement_factor: float | None = None
    refinement: str = FIXED
    explore: float = DEFAULT_EXPLORE
    stopping: StoppingRules = NO_RULES
    pruning: Pruning | None = None


def staged_plan(
    workflow: str,
    *,
    subjects: Sequence[TuningSubject],
    stages: Sequence[StageAsk],
    parallel: bool = True,
    terms: Terms = USUAL_TERMS,
) -> Plan:
    """Plans stages that follow one another, each a tuning run for every model run.

    Raises: ValueError: there are no model runs.
    """
    if not subjects:
        raise ValueError("a plan needs model runs")
    later = [replace(each, start=NO_START_POINTS, box=None) for each in subjects]
    planned = [
        StagePlan(
            method=ask.method,
            tuning_runs=tuple(_staged_run(each, ask) for each in (later if index else subjects)),
            max_active_tuning_runs=0 if parallel else 1,
            refinement_factor=ask.refinement_factor,
            refinement=ask.refinement,
            explore=ask.explore,
        )
        for index, ask in enumerate(stages)
    ]
    pruned = with_pruning(
        planned,
        [each.pruning or terms.pruning for each in stages],
        fields=[
            "pruning" if each.pruning is None else f"stages[{index}].pruning"
            for index, each in enumerate(stages)
        ],
    )
    return _plan(
        workflow,
        stages=pruned,
        evaluation=subjects[0].evaluation,
        terms=terms,
    )


def space_of_stage(subject: TuningSubject, ask: StageAsk) -> SearchSpace:
    """Returns the part of a model's space that a stage searches, as it was asked for.

    Alternatives are searched whole.
    """
    return _part(subject.space, ask.parameters)


def grid_of_stage(subject: TuningSubject, ask: StageAsk) -> SearchSpace:
    """Returns what a stage by grid search tries of a model's space."""
    if subject.grid is not None:
        return _part(subject.grid, ask.parameters)
    return gridded(space_of_stage(subject, ask), subject.grid_resolution)


def _part(space: SearchSpace, names: Sequence[str]) -> SearchSpace:
    if not names or space.alternatives:
        return space
    return SearchSpace.of(
        (each for each in space.parameters if each.name in names),
        [each for each in space.constraints if set(each.names) <= set(names)],
    )


def _staged_run(subject: TuningSubject, ask: StageAsk) -> TuningRunPlan:
    subject = replace(
        subject,
        space=subject.box or space_of_stage(subject, ask),
        grid=grid_of_stage(subject, ask) if ask.method == GRID_SEARCH else None,
    )
    plan = _between if ask.refinement_factor is not None else tuning_run
    return replace(plan(subject, ask.method, trials=ask.trials), stopping=ask.stopping)


def progressive_search(
    *,
    subject: TuningSubject,
    refinement_factor: float,
    refinement: str = FIXED,
    explore: float = DEFAULT_EXPLORE,
    n_iter_random: int,
    n_iter_bayesian: int,
    terms: Terms = USUAL_TERMS,
) -> Plan:
    """Plans grid → random → bayesian for one model run; the stages after the grid are refined."""
    between = StageAsk(
        method=RANDOM_SEARCH,
        trials=n_iter_random,
        refinement_factor=refinement_factor,
        refinement=refinement,
        explore=explore,
    )
    return staged_plan(
        PROGRESSIVE_SEARCH,
        subjects=[subject],
        stages=(
            StageAsk(method=GRID_SEARCH),
            between,
            replace(between, method=BAYESIAN, trials=n_iter_bayesian),
        ),
        terms=terms,
    )


def multi_model_comparison(
    *,
    subjects: Sequence[TuningSubject],
    method: str,
    n_iter: int,
    parallel: bool,
    terms: Terms = USUAL_TERMS,
) -> Plan:
    """Plans one stage that tunes every model run by one method.

    Raises: ValueError: there are no model runs.
    """
    return staged_plan(
        MULTI_MODEL_COMPARISON,
        subjects=subjects,
        stages=[StageAsk(method=method, trials=n_iter)],
        parallel=parallel,
        terms=terms,
    )


def single_tuning(
    *,
    subject: TuningSubject,
    method: str,
    n_iter: int,
    terms: Terms = USUAL_TERMS,
) -> Plan:
    """Plans one tuning run."""
    return staged_plan(
        TUNING, subjects=[subject], stages=[StageAsk(method=method, trials=n_iter)], terms=terms
    )


def cross_validation(
    *,
    model_run_id: str,
    model_type: str,
    parameters: Assignment,
    evaluation: EvaluationSpec,
    terms: Terms = USUAL_TERMS,
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
        terms=terms,
    )


def tuning_run(subject: TuningSubject, method: str, *, trials: int | None) -> TuningRunPlan:
    """Plans one tuning run; `trials` counts for methods with a budget only.

    Methods that learn from results go between the values of a list of numbers, the others take lists
    as given; a grid search tries some values of a range.
    """
    space = subject.space
    if method in ADAPTIVE_METHODS:
        space = hull_space(space)
    elif method == GRID_SEARCH:
        space = subject.grid or gridded(space, subject.grid_resolution)
    budget = trials if method in BUDGETED_METHODS else None
    return TuningRunPlan(
        model_run_id=subject.model_run_id,
        model_type=subject.model_type,
        space=space,
        trial_budget=budget,
        planned_trials=planned_trials(space, budget),
        total_combinations=cardinality(space),
        evaluation=subject.evaluation,
        start=subject.start,
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


def _between(subject: TuningSubject, method: str, *, trials: int | None) -> TuningRunPlan:
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
    terms: Terms,
) -> Plan:
    return Plan(
        workflow=workflow,
        study_name=terms.study_name,
        stages=tuple(_with_rules(each, terms.stage_stopping) for each in stages),
        scoring_metric=evaluation.metrics[0],
        cv_folds=evaluation.cv_folds,
        random_state=evaluation.random_state,
        max_concurrent_trials=terms.max_concurrent_trials,
        notices=tuple(terms.notices),
        budget=terms.budget,
        priority=terms.priority,
        worker_class=terms.worker_class,
        stopping=terms.stopping,
        selection=terms.selection,
    )


def _with_rules(stage: StagePlan, rules: StoppingRules) -> StagePlan:
    if not rules.any:
        # Those of each stage hold, where there are any.
        return stage
    return replace(
        stage, tuning_runs=tuple(replace(each, stopping=rules) for each in stage.tuning_runs)
    )

from __future__ import annotations

import pytest

from services.core.budget import Budget
from services.core.objective import EvaluationSpec
from services.core.plan import METHODS, WORKFLOWS
from services.core.presets import (
    Terms,
    TuningSubject,
    cross_validation,
    multi_model_comparison,
    planned_trials,
    progressive_search,
    single_tuning,
)
from services.core.space import Fixed, FloatRange, Grid, IntRange, Parameter, SearchSpace

_EVALUATION = EvaluationSpec(
    dataset_id="sklearn:wine",
    dataset_hash="ab",
    model_type="svm_classifier",
    cv_folds=4,
    metrics=("f1_weighted", "accuracy"),
    random_state=7,
)


def _subject(name: str = "run", *parameters: Parameter) -> TuningSubject:
    space = SearchSpace.of(
        parameters
        or (
            Parameter(name="C", domain=Grid(values=(0.1, 1.0, 10.0))),
            Parameter(name="kernel", domain=Grid(values=("rbf", "linear"))),
        )
    )
    return TuningSubject(
        model_run_id=name, model_type="svm_classifier", space=space, evaluation=_EVALUATION
    )


def test_a_progressive_search_goes_grid_random_bayesian() -> None:
    plan = progressive_search(
        subject=_subject(),
        refinement_factor=0.3,
        n_iter_random=50,
        n_iter_bayesian=30,
        terms=Terms(
            max_concurrent_trials=3,
            study_name="s",
            budget=Budget(max_trials=9),
            priority=-2,
            worker_class="gpu",
            notices=("A: b",),
        ),
    )
    assert plan.workflow in WORKFLOWS
    assert [each.method for each in plan.stages] == ["grid_search", "random_search", "bayesian"]
    assert {each.method for each in plan.stages} <= set(METHODS)
    assert [each.refinement_factor for each in plan.stages] == [None, 0.3, 0.3]
    runs = [each.tuning_runs[0] for each in plan.stages]
    assert [each.planned_trials for each in runs] == [6, 50, 30]
    assert [each.trial_budget for each in runs] == [None, 50, 30]
    assert [each.total_combinations for each in runs] == [6, None, None]
    assert runs[1].space.parameters[0].domain == FloatRange(low=0.1, high=10.0, log=True)
    assert (plan.scoring_metric, plan.cv_folds, plan.random_state) == ("f1_weighted", 4, 7)
    assert (plan.max_concurrent_trials, plan.study_name, plan.notices) == (3, "s", ("A: b",))
    assert (plan.budget.max_trials, plan.priority, plan.worker_class) == (9, -2, "gpu")


def test_a_finite_space_plans_no_more_trials_than_it_has_points() -> None:
    subject = _subject("run", Parameter(name="n", domain=Grid(values=(1, 2, 4))))
    plan = progressive_search(
        subject=subject, refinement_factor=0.3, n_iter_random=50, n_iter_bayesian=2
    )
    assert [each.tuning_runs[0].planned_trials for each in plan.stages] == [3, 4, 2]
    assert plan.stages[1].tuning_runs[0].space.parameters[0].domain == IntRange(low=1, high=4)


@pytest.mark.parametrize(("parallel", "active"), [(True, 0), (False, 1)])
def test_a_comparison_is_one_stage_in_parallel_or_one_after_another(
    parallel: bool, active: int
) -> None:
    plan = multi_model_comparison(
        subjects=[_subject("a"), _subject("b")],
        method="random_search",
        n_iter=4,
        parallel=parallel,
    )
    (stage,) = plan.stages
    assert stage.max_active_tuning_runs == active
    assert [each.model_run_id for each in stage.tuning_runs] == ["a", "b"]
    # A random search takes lists as they are given, as scikit-learn's does.
    assert [each.planned_trials for each in stage.tuning_runs] == [4, 4]
    assert isinstance(stage.tuning_runs[0].space.parameters[0].domain, Grid)


def test_a_comparison_needs_model_runs() -> None:
    with pytest.raises(ValueError, match="model runs"):
        multi_model_comparison(subjects=[], method="grid_search", n_iter=1, parallel=True)


def test_a_bayesian_tuning_goes_between_the_values() -> None:
    plan = single_tuning(subject=_subject(), method="bayesian", n_iter=20)
    run = plan.stages[0].tuning_runs[0]
    assert isinstance(run.space.parameters[0].domain, FloatRange)
    assert run.planned_trials == 20
    grid = single_tuning(subject=_subject(), method="grid_search", n_iter=20)
    assert grid.stages[0].tuning_runs[0].planned_trials == 6
    assert grid.stages[0].tuning_runs[0].trial_budget is None


def test_a_cross_validation_is_one_trial_at_one_point() -> None:
    plan = cross_validation(
        model_run_id="run",
        model_type="svm_classifier",
        parameters={"kernel": "rbf", "C": 1.0},
        evaluation=_EVALUATION,
    )
    run = plan.stages[0].tuning_runs[0]
    assert run.planned_trials == run.total_combinations == 1
    assert [each.domain for each in run.space.parameters] == [
        Fixed(value=1.0),
        Fixed(value="rbf"),
    ]
    assert planned_trials(SearchSpace(parameters=()), None) == 1


def test_an_infinite_space_needs_a_budget() -> None:
    space = SearchSpace.of([Parameter(name="a", domain=FloatRange(low=0.0, high=1.0))])
    with pytest.raises(ValueError, match="budget"):
        planned_trials(space, None)

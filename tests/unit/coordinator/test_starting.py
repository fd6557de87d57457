"""Starting searches: plans and their defaults, repeats, previews, budgets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.coordinator.service.bell import Bell
from services.coordinator.service.requests import (
    ComparisonRequest,
    CrossValidationRequest,
    ProgressiveSearchRequest,
    SelectionRequest,
    TuningRequest,
)
from services.coordinator.service.starting import Starting
from services.core.budget import Budget
from services.core.errors import AlreadyExists
from services.core.model_catalog import MODEL_TYPES
from services.core.plan import LifecycleState
from services.core.selection import (
    BY_SCORE,
    ONE_STANDARD_ERROR,
    Preference,
    Selection,
    Simpler,
)
from services.core.space import Choices, FloatRange, Grid, IntRange
from services.core.space_request import (
    DistributionRequest,
    ParameterRequest,
    RangeRequest,
    SpaceRequest,
)
from services.core.splitting import Splitter
from tests.unit.coordinator.request_store import PLAIN, UUID, MemoryRequestStore, refused

# --- Plans ---


async def test_a_progressive_search_has_three_stages_and_its_defaults(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = ProgressiveSearchRequest(
        model_run_id="forest", initial_param_grid={"max_depth": [5.0, 10.0, None]}
    )
    started = await starting.progressive_search(request, PLAIN)
    (plan,) = store.created
    assert started.orchestration_id == "o"
    assert [stage.method for stage in plan.stages] == ["grid_search", "random_search", "bayesian"]
    assert [stage.refinement_factor for stage in plan.stages] == [None, 0.3, 0.3]
    assert [stage.tuning_runs[0].planned_trials for stage in plan.stages] == [3, 7, 7]
    assert plan.scoring_metric == "accuracy"
    first, second = (stage.tuning_runs[0].space.parameters[0] for stage in plan.stages[:2])
    assert first.domain == Grid(values=(5, 10, None))
    assert second.domain == IntRange(low=5, high=10)
    assert second.specials == (None,)


async def test_without_a_grid_the_model_types_default_one_is_searched(
    starting: Starting, store: MemoryRequestStore
) -> None:
    await starting.progressive_search(ProgressiveSearchRequest(model_run_id="forest"), PLAIN)
    space = store.created[0].stages[0].tuning_runs[0].space
    assert space == MODEL_TYPES["random_forest_classifier"].default_space


async def test_a_default_grid_leaves_out_what_the_model_run_fixes(
    starting: Starting, store: MemoryRequestStore
) -> None:
    await starting.tuning(TuningRequest(model_run_id="fixed-forest"), PLAIN)
    run = store.created[0].stages[0].tuning_runs[0]
    assert "n_estimators" not in run.space.names
    assert run.evaluation.fixed_parameters == {"n_estimators": 7}


async def test_a_comparison_has_one_stage_with_a_run_per_model(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = ComparisonRequest(
        model_run_ids=("forest", "svm"),
        param_grids={"svm": {"C": [0.5, 1.0]}},
        parallel=False,
    )
    await starting.comparison(request, PLAIN)
    (stage,) = store.created[0].stages
    assert stage.max_active_tuning_runs == 1
    assert [run.model_run_id for run in stage.tuning_runs] == ["forest", "svm"]
    assert stage.tuning_runs[1].planned_trials == 2


async def test_bayesian_tuning_searches_the_range_a_list_spans(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = TuningRequest(
        model_run_id="svm", tuning_method="bayesian", param_grid={"C": [0.1, 1.0, 10.0]}, n_iter=7
    )
    await starting.tuning(request, PLAIN)
    run = store.created[0].stages[0].tuning_runs[0]
    assert run.space.parameters[0].domain == FloatRange(low=0.1, high=10.0, log=True)
    assert run.planned_trials == 7


async def test_a_typed_space_is_gridded_first_and_searched_as_ranges_after(
    starting: Starting, store: MemoryRequestStore
) -> None:
    space = SpaceRequest(
        parameters=(
            ParameterRequest(
                name="C", domain=RangeRequest(whole=False, low=0.1, high=10.0, log=True)
            ),
            ParameterRequest(name="kernel", domain=Choices(values=("rbf", "linear"))),
        )
    )
    request = ProgressiveSearchRequest(model_run_id="svm", search_space=space, grid_resolution=3)
    await starting.progressive_search(request, PLAIN)
    (plan,) = store.created
    grid, random, bayesian = (stage.tuning_runs[0] for stage in plan.stages)
    assert grid.space.parameters[0].domain == Grid(values=(0.1, 1.0, 10.0))
    assert grid.planned_trials == 6
    assert random.space == bayesian.space
    assert random.space.parameters[0].domain == FloatRange(low=0.1, high=10.0, log=True)
    assert random.total_combinations is None
    (notice,) = plan.notices
    assert notice.startswith("RANGES_GRIDDED: grid_search tries C at 0.1, 1, 10;")


async def test_lists_read_as_logarithmic_are_told_of_and_may_be_searched_otherwise(
    starting: Starting, store: MemoryRequestStore
) -> None:
    grid: dict[str, list[object]] = {"C": [0.1, 1.0, 10.0], "gamma": [1.0, 2.0]}
    asked = ProgressiveSearchRequest(model_run_id="svm", initial_param_grid=grid)
    await starting.progressive_search(asked, PLAIN)
    (notice,) = store.created[0].notices
    assert notice.startswith("LOG_SCALES: C (0.1, 1, 10) is searched between the values on a log")
    await starting.progressive_search(replace(asked, scales={"C": "linear", "gamma": "log"}), PLAIN)
    plan = store.created[1]
    assert not plan.notices
    assert [each.domain for each in plan.stages[2].tuning_runs[0].space.parameters] == [
        FloatRange(low=0.1, high=10.0),
        FloatRange(low=1.0, high=2.0, log=True),
    ]
    # Nothing goes between the values: there is nothing to tell.
    await starting.tuning(TuningRequest(model_run_id="svm", param_grid=grid), PLAIN)
    assert not store.created[2].notices


async def test_scales_that_fit_no_list_are_refused(starting: Starting) -> None:
    found = await refused(
        starting.tuning(
            TuningRequest(
                model_run_id="svm",
                tuning_method="bayesian",
                param_grid={"C": [1.0, 2.0], "coef0": [0.0, 1.0], "kernel": ["rbf", "linear"]},
                scales={"C": "logarithmic", "coef0": "log", "kernel": "log", "gamma": "linear"},
            ),
            PLAIN,
        )
    )
    assert set(found) == {f'scales["{name}"]' for name in ("C", "coef0", "kernel", "gamma")}
    assert "0 has no logarithm" in found['scales["coef0"]']


async def test_distributions_go_beside_a_grid(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = TuningRequest(
        model_run_id="svm",
        tuning_method="random_search",
        param_grid={"kernel": ["rbf", "linear"]},
        distributions={"C": DistributionRequest(type="loguniform", lower=0.1, upper=10.0)},
    )
    await starting.tuning(request, PLAIN)
    run = store.created[0].stages[0].tuning_runs[0]
    assert [each.domain for each in run.space.parameters] == [
        FloatRange(low=0.1, high=10.0, log=True),
        Grid(values=("rbf", "linear")),
    ]
    assert run.planned_trials == 20
    assert not store.created[0].notices


async def test_a_cross_validation_has_one_trial_and_the_tasks_metrics(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = CrossValidationRequest(model_run_id="svm", parameters={"C": 10.0})
    await starting.cross_validation(request, PLAIN)
    run = store.created[0].stages[0].tuning_runs[0]
    assert run.planned_trials == 1
    assert run.evaluation.metrics[0] == "accuracy"
    assert "f1_weighted" in run.evaluation.metrics


async def test_folds_above_the_smallest_class_are_told_of(
    starting: Starting, store: MemoryRequestStore
) -> None:
    await starting.tuning(TuningRequest(model_run_id="rare-svm", cv_folds=5), PLAIN)
    (notice,) = store.created[0].notices
    assert notice.startswith("FOLDS_ABOVE_SMALLEST_CLASS")


# --- Repeats and previews ---


async def test_the_same_request_id_gives_the_same_orchestration(
    starting: Starting, store: MemoryRequestStore
) -> None:
    identity = replace(PLAIN, request_id=UUID)
    request = TuningRequest(model_run_id="svm")
    await starting.tuning(request, identity)
    again = await starting.tuning(request, replace(identity, request_id=UUID.upper()))
    assert again.orchestration_id == "o"
    assert len(store.created) == 1
    with pytest.raises(AlreadyExists):
        await starting.tuning(request, replace(identity, body_hash=b"other"))


async def test_a_repeat_is_found_before_anything_is_checked(
    starting: Starting, store: MemoryRequestStore
) -> None:
    identity = replace(PLAIN, request_id=UUID)
    await starting.tuning(TuningRequest(model_run_id="svm"), identity)
    again = await starting.tuning(TuningRequest(model_run_id="deleted since"), identity)
    assert again.orchestration_id == "o"


async def test_a_preview_creates_nothing_and_has_no_id(
    starting: Starting, store: MemoryRequestStore
) -> None:
    identity = replace(PLAIN, request_id=UUID, validate_only=True)
    request = ProgressiveSearchRequest(model_run_id="svm", initial_param_grid={"C": [1.0, 2.0]})
    shown = await starting.progressive_search(request, identity)
    assert shown.orchestration_id == ""
    assert shown.state is LifecycleState.PENDING
    assert [stage.counts.total for stage in shown.stages] == [2, 50, 30]
    assert (store.created, store.found) == ([], 0)


async def test_a_request_without_an_id_is_created_under_one_of_its_own(
    starting: Starting, store: MemoryRequestStore
) -> None:
    await starting.tuning(TuningRequest(model_run_id="svm"), PLAIN)
    await starting.tuning(TuningRequest(model_run_id="svm"), PLAIN)
    assert len({key.request_id for key in store.keys if key is not None}) == 2


# --- Budgets ---


def priced(
    store: MemoryRequestStore, *, price: float = 3.6, timeout: float | None = None
) -> Starting:
    """An operator with a price, and perhaps a wall limit."""
    return Starting(store=store, leases=Bell(), trial_timeout_seconds=timeout, price_per_hour=price)


async def test_budget_priority_and_class_reach_the_plan(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = TuningRequest(
        model_run_id="svm",
        budget={"max_trials": 4, "max_cost": 2.0, "price_per_hour": 1.0},
        priority=-7,
        worker_class="gpu",
    )
    shown = await starting.tuning(request, replace(PLAIN, validate_only=True))
    await starting.tuning(request, PLAIN)
    (plan,) = store.created
    assert plan.budget == Budget(max_trials=4, max_cost=2.0, price_per_hour=1.0)
    assert (plan.priority, plan.worker_class) == (-7, "gpu")
    assert (shown.budget, shown.priority, shown.worker_class) == (plan.budget, -7, "gpu")


async def test_the_operators_price_holds_where_the_request_brings_none(
    store: MemoryRequestStore,
) -> None:
    starting = priced(store)
    await starting.tuning(TuningRequest(model_run_id="svm", budget={"max_cost": 2.0}), PLAIN)
    await starting.tuning(TuningRequest(model_run_id="svm", budget={"price_per_hour": 9.0}), PLAIN)
    await starting.cross_validation(CrossValidationRequest(model_run_id="svm"), PLAIN)
    assert [plan.budget.price_per_hour for plan in store.created] == [3.6, 9.0, 3.6]


@pytest.mark.parametrize(
    ("asked", "operator", "holds"), [(5.0, 9.0, 5.0), (9.0, 5.0, 5.0), (None, 5.0, 5.0)]
)
async def test_the_shorter_wall_limit_holds_for_trials_and_reservations(
    store: MemoryRequestStore, asked: float | None, operator: float, holds: float
) -> None:
    limits = {} if asked is None else {"trial_timeout_seconds": asked}
    request = TuningRequest(model_run_id="svm", budget=limits)
    await priced(store, timeout=operator).tuning(request, PLAIN)
    (plan,) = store.created
    assert plan.stages[0].tuning_runs[0].evaluation.trial_timeout_seconds == holds
    assert plan.budget.reservation == pytest.approx(holds * 3.6 / 3600)


async def test_a_cost_limit_without_a_price_is_refused(starting: Starting) -> None:
    request = TuningRequest(model_run_id="svm", budget={"max_cost": 2.0})
    assert set(await refused(starting.tuning(request, PLAIN))) == {"budget.price_per_hour"}


async def test_a_cost_limit_that_lets_no_trial_start_is_refused(store: MemoryRequestStore) -> None:
    budget = {"max_cost": 0.5, "trial_timeout_seconds": 3600.0}
    request = TuningRequest(model_run_id="svm", budget=budget)
    found = await refused(priced(store).tuning(request, PLAIN))
    assert "one trial may cost up to 3.6" in found["budget.max_cost"]
    # Where the operator's wall limit is shorter, that is what a trial may cost.
    await priced(store, timeout=300).tuning(request, PLAIN)
    assert store.created[0].budget.reservation == pytest.approx(0.3)


async def test_a_splitter_says_how_many_splits_a_trial_is_scored_on(
    starting: Starting, store: MemoryRequestStore
) -> None:
    splitter = Splitter(type="repeated_stratified_k_fold", n_repeats=3)
    shown = await starting.cross_validation(
        CrossValidationRequest(model_run_id="svm", cv_folds=4, splitter=splitter), PLAIN
    )
    evaluation = store.created[0].stages[0].tuning_runs[0].evaluation
    assert evaluation.cv_folds == 12
    assert evaluation.splitter == replace(splitter, n_splits=4)
    assert shown.cv_folds == 12
    assert shown.stages[0].tuning_runs[0].splitter == evaluation.splitter


async def test_groups_say_how_many_splits_leave_one_out(
    starting: Starting, store: MemoryRequestStore
) -> None:
    splitter = Splitter(type="leave_one_group_out")
    shown = await starting.tuning(
        TuningRequest(model_run_id="visits-svm", splitter=splitter), PLAIN
    )
    evaluation = store.created[0].stages[0].tuning_runs[0].evaluation
    assert (evaluation.cv_folds, evaluation.splitter) == (6, splitter)
    assert shown.cv_folds == 6


async def test_a_positive_label_chooses_the_usual_metrics(
    starting: Starting, store: MemoryRequestStore
) -> None:
    await starting.cross_validation(CrossValidationRequest(model_run_id="visits-svm"), PLAIN)
    assert store.created[0].scoring_metric == "accuracy"
    metrics = store.created[0].stages[0].tuning_runs[0].evaluation.metrics
    assert metrics == ("accuracy", "precision", "recall", "f1")


async def test_every_start_scores_training_parts_only_when_asked(
    starting: Starting, store: MemoryRequestStore
) -> None:
    await starting.tuning(TuningRequest(model_run_id="svm"), PLAIN)
    await starting.tuning(TuningRequest(model_run_id="svm", return_train_scores=True), PLAIN)
    await starting.cross_validation(
        CrossValidationRequest(model_run_id="svm", return_train_scores=True), PLAIN
    )
    asked = [
        run.evaluation.return_train_scores
        for plan in store.created
        for stage in plan.stages
        for run in stage.tuning_runs
    ]
    assert asked == [False, True, True]


async def test_the_result_is_selected_as_asked(
    starting: Starting, store: MemoryRequestStore
) -> None:
    asked = SelectionRequest(rule="one_standard_error", simpler=(("C", Preference.LOWER),))
    grid = {"C": [0.1, 1, 10]}
    await starting.tuning(
        TuningRequest(model_run_id="svm", param_grid=grid, selection=asked), PLAIN
    )
    await starting.progressive_search(
        ProgressiveSearchRequest(model_run_id="svm", initial_param_grid=grid, selection=asked),
        PLAIN,
    )
    await starting.tuning(TuningRequest(model_run_id="svm", param_grid=grid), PLAIN)
    wanted = Selection(
        rule=ONE_STANDARD_ERROR, simpler=(Simpler(parameter="C", prefer=Preference.LOWER),)
    )
    assert [each.selection for each in store.created] == [wanted, wanted, BY_SCORE]

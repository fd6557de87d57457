"""Requests that are refused: every violation at once, each with what to do."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from services.coordinator.service.requests import (
    ComparisonRequest,
    CrossValidationRequest,
    JsonGrid,
    PlanRequest,
    PlanStageRequest,
    ProgressiveSearchRequest,
    SelectionRequest,
    TuningRequest,
)
from services.coordinator.service.starting import Starting
from services.core.errors import NotFound
from services.core.pruning_settings import StepKind
from services.core.selection import Preference
from services.core.space import Choices, Condition, Ordered
from services.core.space_request import (
    DistributionRequest,
    ParameterRequest,
    RangeRequest,
    SpaceRequest,
)
from services.core.splitting import Splitter
from tests.unit.coordinator.request_store import PLAIN, UUID, MemoryRequestStore, refused


async def test_everything_wrong_is_listed_at_once(
    starting: Starting, store: MemoryRequestStore
) -> None:
    found = await refused(
        starting.progressive_search(
            ProgressiveSearchRequest(
                model_run_id="forest",
                initial_param_grid={
                    "max_depth": [],
                    "max_dept": [3.0],
                    "n_estimators": ["many", 10.5, math.nan, math.inf, [5.0]],
                    "criterion": ["gini", "gini"],
                },
                refinement_factor=math.nan,
                cv_folds=1,
                scoring_metric="r2",
                n_iter_random=0,
                n_iter_bayesian=-3,
                random_state=-1,
                max_concurrent_trials=-1,
                study_name="x" * 201,
                budget={
                    "max_trials": 0,
                    "max_failed_trials": -1,
                    "max_seconds": math.nan,
                    "max_cost": math.inf,
                    "trial_timeout_seconds": 1e30,
                },
                priority=101,
                worker_class="no such/queue",
            ),
            replace(PLAIN, request_id="not-a-uuid"),
        )
    )
    assert set(found) == {
        'initial_param_grid["max_depth"]',
        'initial_param_grid["max_dept"]',
        *(f'initial_param_grid["n_estimators"][{place}]' for place in range(5)),
        'initial_param_grid["criterion"][1]',
        "refinement_factor",
        "cv_folds",
        "scoring_metric",
        "n_iter_random",
        "n_iter_bayesian",
        "random_state",
        "max_concurrent_trials",
        "study_name",
        "budget.max_trials",
        "budget.max_failed_trials",
        "budget.max_seconds",
        "budget.max_cost",
        "budget.trial_timeout_seconds",
        "budget.price_per_hour",
        "priority",
        "worker_class",
        "request_id",
    }
    assert "max_depth" in found['initial_param_grid["max_dept"]']
    assert store.created == []


@pytest.mark.parametrize("factor", [0.0, -0.1, 1.0001, math.nan, math.inf])
async def test_a_refinement_factor_outside_its_range_is_refused(
    starting: Starting, factor: float
) -> None:
    request = ProgressiveSearchRequest(model_run_id="svm", refinement_factor=factor)
    assert set(await refused(starting.progressive_search(request, PLAIN))) == {"refinement_factor"}


async def test_a_grid_of_a_trillion_points_is_refused_by_its_size(starting: Starting) -> None:
    values = [float(n) for n in range(1, 10_001)]
    grid = {"max_depth": values, "n_estimators": values, "min_samples_leaf": values}
    request = TuningRequest(model_run_id="forest", param_grid=grid)
    found = await refused(starting.tuning(request, PLAIN))
    assert "1,000,000,000,000 points" in found["param_grid"]
    assert "1,000,000" in found["param_grid"]


async def test_a_space_too_large_to_count_is_searched_all_the_same(
    starting: Starting, store: MemoryRequestStore
) -> None:
    names = ["max_depth", "n_estimators", "min_samples_leaf", "max_leaf_nodes", "max_features"]
    grid = {name: [2.0, 2_000_000_000.0] for name in names}
    request = TuningRequest(model_run_id="forest", tuning_method="bayesian", param_grid=grid)
    await starting.tuning(request, PLAIN)
    assert store.created[0].stages[0].tuning_runs[0].total_combinations is None


async def test_known_names_are_listed_for_unknown_ones(starting: Starting) -> None:
    request = TuningRequest(model_run_id="svm", tuning_method="annealing", scoring_metric="acuracy")
    found = await refused(starting.tuning(request, PLAIN))
    assert "grid_search" in found["tuning_method"]
    assert "accuracy" in found["scoring_metric"]


async def test_a_binary_metric_on_three_classes_names_the_one_to_use(starting: Starting) -> None:
    request = TuningRequest(model_run_id="svm", scoring_metric="f1")
    assert "f1_weighted" in (await refused(starting.tuning(request, PLAIN)))["scoring_metric"]


@pytest.mark.parametrize("folds", [-1, 0, 1, 51, 2**31 - 1])
async def test_folds_that_no_class_can_fill_are_refused(starting: Starting, folds: int) -> None:
    request = TuningRequest(model_run_id="svm", cv_folds=folds)
    assert set(await refused(starting.tuning(request, PLAIN))) == {"cv_folds"}


async def test_everything_wrong_with_a_splitter_is_listed_by_its_fields(starting: Starting) -> None:
    splitter = Splitter(type="stratified_k_fold", n_splits=1, gap=2)
    request = TuningRequest(model_run_id="ridge", splitter=splitter, scoring_metric="accuracy")
    found = await refused(starting.tuning(request, PLAIN))
    assert set(found) == {
        "splitter.type",
        "splitter.n_splits",
        "splitter.gap",
        "scoring_metric",
    }
    assert found["splitter.type"].endswith("use k_fold")


@pytest.mark.parametrize("seed", [-1, 2**32])
async def test_a_seed_numpy_would_refuse_is_refused(starting: Starting, seed: int) -> None:
    request = CrossValidationRequest(model_run_id="svm", random_state=seed)
    assert set(await refused(starting.cross_validation(request, PLAIN))) == {"random_state"}


@pytest.mark.parametrize("n_iter", [0, -5, 100_001])
async def test_budgets_outside_their_limits_are_refused(starting: Starting, n_iter: int) -> None:
    request = TuningRequest(model_run_id="svm", tuning_method="random_search", n_iter=n_iter)
    assert set(await refused(starting.tuning(request, PLAIN))) == {"n_iter"}


@pytest.mark.parametrize(
    "request_id", ["1", "{" + UUID + "}", UUID.replace("-", ""), "urn:uuid:" + UUID]
)
async def test_other_spellings_of_a_uuid_are_refused(starting: Starting, request_id: str) -> None:
    identity = replace(PLAIN, request_id=request_id)
    found = await refused(starting.tuning(TuningRequest(model_run_id="svm"), identity))
    assert set(found) == {"request_id"}


async def test_a_comparison_lists_everything_wrong_with_its_models(starting: Starting) -> None:
    found = await refused(
        starting.comparison(
            ComparisonRequest(
                model_run_ids=("forest", "svm", "forest", "ridge", "rare-svm", ""),
                param_grids={"svm": {"C": 3.0}, "forest": {}, "stranger": {"C": [1.0]}},
            ),
            PLAIN,
        )
    )
    assert set(found) == {
        "model_run_ids[2]",
        "model_run_ids[3]",
        "model_run_ids[4]",
        "model_run_ids[5]",
        'param_grids["stranger"]',
        'param_grids["svm"]["C"]',
        'param_grids["forest"]',
    }
    assert "regression" in found["model_run_ids[3]"]
    assert "folds" in found["model_run_ids[4]"]


async def test_very_many_models_are_refused_by_their_number(starting: Starting) -> None:
    ids = tuple(str(number) for number in range(100_000))
    found = await refused(starting.comparison(ComparisonRequest(model_run_ids=ids), PLAIN))
    assert set(found) == {"model_run_ids"}
    assert "100000" in found["model_run_ids"]


async def test_a_comparison_of_nothing_is_refused(starting: Starting) -> None:
    found = await refused(starting.comparison(ComparisonRequest(model_run_ids=()), PLAIN))
    assert set(found) == {"model_run_ids"}


async def test_metrics_that_repeat_are_refused(starting: Starting) -> None:
    request = TuningRequest(
        model_run_id="svm", additional_metrics=("accuracy", "f1_macro", "f1_macro")
    )
    found = await refused(starting.tuning(request, PLAIN))
    assert set(found) == {"additional_metrics[0]", "additional_metrics[2]"}


async def test_an_unknown_model_run_is_not_found(starting: Starting) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        await starting.tuning(TuningRequest(model_run_id="nowhere"), PLAIN)


async def test_a_request_without_a_model_run_says_so(starting: Starting) -> None:
    found = await refused(starting.tuning(TuningRequest(model_run_id=""), PLAIN))
    assert set(found) == {"model_run_id"}


async def test_a_typed_space_stands_alone(starting: Starting) -> None:
    found = await refused(
        starting.tuning(
            TuningRequest(
                model_run_id="svm",
                param_grid={"C": [1.0], "kernel": ["rbff"]},
                distributions={"C": DistributionRequest(type="uniform", lower=2.0, upper=1.0)},
                search_space=SpaceRequest(),
                grid_resolution=1,
            ),
            PLAIN,
        )
    )
    assert set(found) == {
        "search_space",
        "search_space.parameters",
        'param_grid["kernel"][0]',
        'distributions["C"].lower',
        'distributions["C"]',
        "grid_resolution",
    }
    assert "beside param_grid and distributions" in found["search_space"]


async def test_a_grid_of_ranges_is_refused_by_its_size(starting: Starting) -> None:
    wide = DistributionRequest(type="uniform", lower=1.0, upper=2.0)
    request = TuningRequest(
        model_run_id="svm",
        distributions={"C": wide, "coef0": wide, "tol": wide},
        grid_resolution=1000,
    )
    found = await refused(starting.tuning(request, PLAIN))
    assert list(found) == ["distributions"]
    assert found["distributions"].startswith("has 1,000,000,000 points")


async def test_a_comparison_names_the_model_whose_space_is_wrong(starting: Starting) -> None:
    request = ComparisonRequest(
        model_run_ids=("forest", "svm"),
        distributions={
            "svm": {"C": DistributionRequest(type="randint", lower=1, upper=4)},
            "other": {},
        },
        search_spaces={"forest": SpaceRequest()},
    )
    found = await refused(starting.comparison(request, PLAIN))
    assert set(found) == {
        'search_spaces["forest"].parameters',
        'distributions["svm"].parameters["C"]',
        'distributions["other"]',
    }


async def test_all_that_is_wrong_with_pruning_is_listed_with_the_rest(starting: Starting) -> None:
    found = await refused(
        starting.tuning(
            TuningRequest(model_run_id="forest", cv_folds=1, pruning={"rule": "bold", "keep": 0}),
            PLAIN,
        )
    )
    assert set(found) == {"cv_folds", "pruning.rule", "pruning.keep"}
    assert "lossless" in found["pruning.rule"]


def simplest(*simpler: tuple[str, Preference | None], rule: str = "") -> SelectionRequest:
    return SelectionRequest(rule=rule or "one_standard_error", simpler=simpler)


@pytest.mark.parametrize(
    ("selection", "field", "told"),
    [
        (simplest(rule="two_errors"), "selection.rule", "one_standard_error"),
        (simplest(), "selection.simpler", "name the parameter"),
        (
            simplest(("C", Preference.LOWER), rule="best"),
            "selection.simpler",
            "one_standard_error",
        ),
        (simplest(("C", None)), "selection.simpler[0].prefer", "lower or higher"),
        (
            simplest(("C", Preference.LOWER), ("C", Preference.HIGHER)),
            "selection.simpler[1].parameter",
            "named already",
        ),
        (
            simplest(("kernel", Preference.LOWER)),
            "selection.simpler[0].parameter",
            "svm_classifier: C",
        ),
        (
            simplest(("max_depth", Preference.LOWER), ("C", Preference.LOWER)),
            "selection.simpler[0].parameter",
            '"max_depth" is no parameter with several numbers',
        ),
    ],
)
async def test_a_selection_that_says_nothing_is_refused(
    starting: Starting, selection: SelectionRequest, field: str, told: str
) -> None:
    grid: JsonGrid = {"C": [1, 10], "kernel": ["rbf", "linear"]}
    request = TuningRequest(model_run_id="svm", param_grid=grid, selection=selection)
    found = await refused(starting.tuning(request, PLAIN))
    assert set(found) == {field}
    assert told in found[field]


async def test_the_rule_of_one_standard_error_goes_with_no_pruning(starting: Starting) -> None:
    request = TuningRequest(
        model_run_id="svm",
        param_grid={"C": [1, 10]},
        selection=simplest(("C", Preference.LOWER)),
        pruning={"rule": "lossless"},
    )
    found = await refused(starting.tuning(request, PLAIN))
    assert "leave one of the two out" in found["selection.rule"]


async def test_every_compared_model_needs_something_simpler(starting: Starting) -> None:
    request = ComparisonRequest(
        model_run_ids=("svm", "forest"),
        param_grids={"svm": {"C": [1, 10]}, "forest": {"max_depth": [2, None]}},
        selection=simplest(("max_depth", Preference.LOWER)),
    )
    found = await refused(starting.comparison(request, PLAIN))
    assert "names no parameter of svm_classifier" in found["selection.simpler"]
    assert "add one of: C" in found["selection.simpler"]


@pytest.mark.parametrize(
    ("pruning", "fields"),
    [
        (
            {"rule": "asha", "reduction_factor": 1, "grace_period": 6},
            {"reduction_factor", "grace_period"},
        ),
        ({"rule": "asha", "keep": 3, "warmup_steps": 1}, {"keep", "warmup_steps"}),
        (
            {"rule": "median", "warmup_steps": 5, "interval_steps": 0},
            {"warmup_steps", "interval_steps"},
        ),
        # Five folds are none too many: the race could look only after the last.
        ({"rule": "racing", "level": 0.9}, {"min_splits", "level"}),
        ({"rule": "median", "step_kind": 17, "max_steps": 3}, {"step_kind", "max_steps"}),
        # A support vector machine is not fitted round by round.
        ({"rule": "asha", "step_kind": StepKind.BOOSTING_ROUND}, {"step_kind"}),
        ({"rule": "lossless", "step_kind": StepKind.TRAINING_SIZE}, {"step_kind"}),
        ({"rule": "asha", "min_training_fraction": 0.5}, {"min_training_fraction"}),
        (
            {"rule": "asha", "step_kind": StepKind.TRAINING_SIZE, "min_training_fraction": 1.5},
            {"min_training_fraction"},
        ),
        # Three classes, and the first rung would have two rows.
        (
            {"rule": "median", "step_kind": StepKind.TRAINING_SIZE, "min_training_fraction": 0.01},
            {"min_training_fraction"},
        ),
        # Of the rungs 0.1, 0.4 and 1 the last is no longer judged.
        (
            {"rule": "asha", "step_kind": StepKind.TRAINING_SIZE, "grace_period": 4},
            {"grace_period"},
        ),
    ],
)
async def test_figures_a_rule_cannot_work_with_are_refused_with_the_rest(
    starting: Starting, pruning: dict[str, object], fields: set[str]
) -> None:
    request = TuningRequest(model_run_id="svm", cv_folds=5, scoring_metric="wit", pruning=pruning)
    found = await refused(starting.tuning(request, PLAIN))
    assert set(found) == {"scoring_metric", *(f"pruning.{each}" for each in fields)}


async def test_rounds_are_stopped_between_only_where_nothing_else_ends_a_fit(
    starting: Starting,
) -> None:
    rounds = {"rule": "asha", "step_kind": StepKind.BOOSTING_ROUND}
    request = TuningRequest(model_run_id="svm", pruning=rounds)
    found = await refused(starting.tuning(request, PLAIN))
    assert "svm_classifier is not fitted round by round" in found["pruning.step_kind"]
    assert "gradient_boosting_classifier" in found["pruning.step_kind"]
    request = TuningRequest(
        model_run_id="forest",
        param_grid={"n_estimators": [10.0, 30.0]},
        pruning={**rounds, "grace_period": 31},
    )
    found = await refused(starting.tuning(request, PLAIN))
    assert set(found) == {"pruning.grace_period"}
    assert "must be 1 to 30" in found["pruning.grace_period"]


async def test_a_median_needs_more_trials_than_it_starts_up_with(starting: Starting) -> None:
    pruning = {"rule": "median", "startup_trials": 20}
    request = TuningRequest(
        model_run_id="svm", tuning_method="random_search", n_iter=20, pruning=pruning
    )
    found = await refused(starting.tuning(request, PLAIN))
    assert set(found) == {"pruning.startup_trials"}
    assert "no search runs more than" in found["pruning.startup_trials"]


async def test_weighted_scoring_needs_weights(starting: Starting) -> None:
    request = TuningRequest(model_run_id="svm", weighted_scoring=True)
    found = await refused(starting.tuning(request, PLAIN))
    assert "no weight column" in found["weighted_scoring"]


@pytest.mark.parametrize(
    ("splitter", "told"),
    [
        (Splitter(type="leave_one_group_out"), "as many splits as the data say"),
        (Splitter(type="k_fold", n_splits=4), "splitter.n_splits is 4"),
    ],
)
async def test_folds_that_a_splitter_does_not_take_are_not_passed_over(
    starting: Starting, splitter: Splitter, told: str
) -> None:
    request = CrossValidationRequest(model_run_id="visits-svm", cv_folds=5, splitter=splitter)
    found = await refused(starting.cross_validation(request, PLAIN))
    assert set(found) == {"cv_folds"}
    assert told in found["cv_folds"]


async def test_a_splitter_by_groups_needs_groups_and_no_more_folds_than_those(
    starting: Starting,
) -> None:
    splitter = Splitter(type="stratified_group_k_fold", n_splits=7)
    without = TuningRequest(model_run_id="svm", splitter=splitter)
    assert set(await refused(starting.tuning(without, PLAIN))) == {"splitter.type"}
    few = TuningRequest(model_run_id="visits-svm", splitter=splitter)
    assert "6 groups" in (await refused(starting.tuning(few, PLAIN)))["splitter.n_splits"]


async def test_a_list_of_grids_stands_alone_and_is_told_by_grid(starting: Starting) -> None:
    found = await refused(
        starting.tuning(
            TuningRequest(
                model_run_id="svm",
                param_grid={"C": [1.0]},
                param_grid_list=({"C": [1.0]}, {"kernel": ["cubic"]}),
            ),
            PLAIN,
        )
    )
    assert set(found) == {"param_grid_list", 'param_grid_list[1].values["kernel"][0]'}
    assert "beside param_grid;" in found["param_grid_list"]


async def test_a_stage_searches_a_list_of_grids_whole(starting: Starting) -> None:
    found = await refused(
        starting.plan(
            PlanRequest(
                model_run_ids=("svm",),
                stages=(PlanStageRequest(method="grid_search", parameters=("C",)),),
                param_grid_lists={"svm": ({"C": [1.0, 2.0]}, {"kernel": ["linear"]})},
            ),
            PLAIN,
        )
    )
    assert set(found) == {"stages[0].parameters"}


async def test_a_stage_does_not_tear_bound_parameters_apart(starting: Starting) -> None:
    ranges = RangeRequest(whole=False, low=0.1, high=1.0)
    space = SpaceRequest(
        parameters=(
            *(ParameterRequest(name=name, domain=ranges) for name in ("C", "gamma", "coef0")),
            ParameterRequest(
                name="degree",
                domain=RangeRequest(whole=True, low=2, high=4),
                conditions=(Condition(parent="kernel", values=("poly",)),),
            ),
            ParameterRequest(name="kernel", domain=Choices(values=("poly", "rbf"))),
        ),
        constraints=(Ordered(names=("gamma", "C")),),
    )
    found = await refused(
        starting.plan(
            PlanRequest(
                model_run_ids=("svm",),
                stages=(
                    PlanStageRequest(method="random_search", parameters=("C", "coef0")),
                    PlanStageRequest(method="random_search", parameters=("C", "gamma", "kernel")),
                ),
                search_spaces={"svm": space},
            ),
            PLAIN,
        )
    )
    assert set(found) == {"stages[0].parameters", "stages[1].parameters"}
    assert "names C and not gamma" in found["stages[0].parameters"]
    assert "names kernel and not degree" in found["stages[1].parameters"]

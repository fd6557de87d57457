"""Requests that are refused: every violation at once, each with what to do."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from services.coordinator.service.requests import (
    ComparisonRequest,
    CrossValidationRequest,
    ProgressiveSearchRequest,
    TuningRequest,
)
from services.coordinator.service.starting import Starting
from services.core.errors import NotFound
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

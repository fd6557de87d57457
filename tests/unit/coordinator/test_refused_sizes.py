"""Requests that are refused for their size: what is too much is not looked at one by one."""

from __future__ import annotations

import time

import pytest

from services.coordinator.service.requests import (
    CrossValidationRequest,
    PlanRequest,
    PlanStageRequest,
    TuningRequest,
)
from services.coordinator.service.starting import Starting
from services.core.space_request import SpaceRequest
from services.core.splitting import Splitter
from tests.unit.coordinator.request_store import PLAIN, MemoryRequestStore, refused

_NUMBERS = (
    "r2",
    "explained_variance",
    "neg_max_error",
    "neg_mean_absolute_error",
    "neg_mean_squared_error",
    "neg_median_absolute_error",
    "neg_root_mean_squared_error",
    "neg_mean_absolute_percentage_error",
)
_MANY = 100_000


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (TuningRequest(model_run_id="svm", param_grid_list=({},) * _MANY), "param_grid_list"),
        (
            TuningRequest(
                model_run_id="svm",
                search_space=SpaceRequest(alternatives=(SpaceRequest(),) * _MANY),
            ),
            "search_space.alternatives",
        ),
    ],
)
async def test_very_many_spaces_are_refused_by_their_number(
    starting: Starting, request_: TuningRequest, field: str
) -> None:
    began = time.process_time()
    found = await refused(starting.tuning(request_, PLAIN))
    # Of this process alone, whatever else runs: looking into each takes twenty times as long.
    assert time.process_time() - began < 0.5
    assert "100,000" in found[field]


async def test_very_many_mistakes_are_refused_before_all_are_looked_for(starting: Starting) -> None:
    began = time.process_time()
    scales = {f"C{place}": "lgo" for place in range(_MANY)}
    found = await refused(
        starting.tuning(
            TuningRequest(model_run_id="svm", param_grid={"C": [1.0, 10.0]}, scales=scales), PLAIN
        )
    )
    assert time.process_time() - began < 5.0
    assert 'did you mean "C"' in found['scales["C0"]']


async def test_plans_that_list_more_than_clients_can_read_are_refused(
    starting: Starting, store: MemoryRequestStore
) -> None:
    grid = {"C": [1.0 + place / 1000 for place in range(50_000)]}
    stages = (PlanStageRequest(method="grid_search"),) * 3
    plan = PlanRequest(model_run_ids=("svm",), stages=stages, param_grids={"svm": grid})
    found = await refused(starting.plan(plan, PLAIN))
    assert list(found) == [""]
    assert "3 tuning runs list values of 3,600,000 bytes, above the limit" in found[""]
    assert "C of svm_classifier lists 50,000: give a range, or fewer values" in found[""]
    assert not store.created
    await starting.tuning(TuningRequest(model_run_id="svm", param_grid=grid), PLAIN)
    assert len(store.created) == 1


async def test_splits_whose_scores_no_result_can_hold_are_refused(starting: Starting) -> None:
    folds = CrossValidationRequest(
        model_run_id="ridge", cv_folds=442, scoring_metrics=_NUMBERS, return_train_scores=True
    )
    found = await refused(starting.cross_validation(folds, PLAIN))
    assert list(found) == ["cv_folds"]
    assert found["cv_folds"].startswith("makes 442 splits, on which 8 metrics take 67,184 bytes")
    assert "use 431 splits or fewer, or fewer metrics" in found["cv_folds"]
    splitter = CrossValidationRequest(
        model_run_id="ridge",
        splitter=Splitter(type="shuffle_split", n_splits=1000),
        scoring_metrics=_NUMBERS[:6],
    )
    assert list(await refused(starting.cross_validation(splitter, PLAIN))) == ["splitter.n_splits"]


async def test_splits_of_every_row_are_taken_where_a_result_holds_them(
    starting: Starting, store: MemoryRequestStore
) -> None:
    await starting.cross_validation(
        CrossValidationRequest(model_run_id="ridge", cv_folds=442, scoring_metrics=_NUMBERS), PLAIN
    )
    assert store.created[0].cv_folds == 442


async def test_long_lists_of_values_are_told_by_their_ends(
    starting: Starting, store: MemoryRequestStore
) -> None:
    values = [10 ** (place / 1000) for place in range(10_000)]
    await starting.tuning(
        TuningRequest(model_run_id="svm", tuning_method="bayesian", param_grid={"C": values}), PLAIN
    )
    assert all(len(each) < 1000 for each in store.created[0].notices)

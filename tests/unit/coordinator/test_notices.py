"""What people are told of a search that is accepted all the same."""

from __future__ import annotations

from services.coordinator.service.requests import (
    ComparisonRequest,
    TuningRequest,
)
from services.coordinator.service.starting import Starting
from services.core.splitting import Splitter
from tests.unit.coordinator.request_store import PLAIN, MemoryRequestStore


async def test_a_model_that_is_stopped_by_its_test_fold_is_told_of(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = TuningRequest(model_run_id="flattered", param_grid={"early_stopping_rounds": [5.0]})
    await starting.tuning(request, PLAIN)
    [notice] = store.created[0].notices
    assert notice.startswith("OPTIMISTIC: xgboost_classifier stops boosting by the rows")


async def test_a_model_that_takes_no_weights_is_told_of(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = ComparisonRequest(
        model_run_ids=("visits-svm", "visits-neighbors"), weighted_scoring=True
    )
    await starting.comparison(request, PLAIN)
    [notice] = store.created[0].notices
    assert notice.startswith("WEIGHTS_NOT_TAKEN: k_neighbors_classifier takes no weights")
    runs = store.created[0].stages[0].tuning_runs
    assert all(each.evaluation.weighted_scoring for each in runs)


async def test_splits_that_train_without_a_class_are_told_of(
    starting: Starting, store: MemoryRequestStore
) -> None:
    for splitter in (
        Splitter(type="time_series_split", n_splits=2),
        Splitter(type="k_fold", n_splits=3),
        Splitter(type="k_fold", n_splits=3, shuffle=True),
    ):
        request = TuningRequest(model_run_id="svm", splitter=splitter)
        await starting.tuning(request, PLAIN)
    in_time, in_order, shuffled = (each.notices for each in store.created)
    assert in_time[0].startswith(
        "CLASSES_NOT_TRAINED_ON: 2 of 2 splits train without a class, which some estimators refuse and"
        ' none can predict: split 1 without "b", "c"; split 2 without "c"; later rows bring'
    )
    assert 'split 3 without "c"; rows stand in order of class; shuffle them' in in_order[0]
    assert not shuffled

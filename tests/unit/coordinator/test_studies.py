"""What a request is told whose study has another specification."""

from __future__ import annotations

from typing import Any

from services.coordinator.service.preview import preview
from services.coordinator.service.requests import ComparisonRequest, PlanRequest, PlanStageRequest
from services.coordinator.service.starting import Starting
from services.core.plan import Plan
from services.core.study import differences
from tests.unit.coordinator.request_store import PLAIN, MemoryRequestStore

GRID = {"C": [1.0, 10.0], "gamma": [0.01, 0.1]}


async def compared(starting: Starting, store: MemoryRequestStore, **fields: Any) -> Plan:
    request: dict[str, Any] = {"model_run_ids": ("svm",), "param_grids": {"svm": GRID}}
    await starting.comparison(ComparisonRequest(**{**request, **fields}), PLAIN)
    return store.created[-1]


async def test_a_larger_total_is_no_difference(
    starting: Starting, store: MemoryRequestStore
) -> None:
    ten = await compared(starting, store, tuning_method="random_search", n_iter=2)
    twenty = await compared(starting, store, tuning_method="random_search", n_iter=4)
    assert differences(preview(ten), twenty) == []


async def test_every_difference_is_told_with_what_stands_on_both_sides(
    starting: Starting, store: MemoryRequestStore
) -> None:
    earlier = await compared(starting, store)
    later = await compared(
        starting,
        store,
        cv_folds=3,
        scoring_metric="f1_macro",
        stopping={"target_score": 0.9},
        pruning={},
        param_grids={"svm": {"C": [1.0, 100.0], "kernel": ["rbf"]}},
    )
    assert differences(preview(earlier), later) == [
        "scoring_metric is accuracy there and f1_macro here",
        "cv_folds is 5 there and 3 here",
        "stopping is another",
        "stages[0]: metrics is another",
        "stages[0]: pruning is another",
        "stages[0]: C of svm_classifier is searched at 1 and 10 there and at 1 and 100 here",
        "stages[0]: gamma of svm_classifier is searched there only",
        "stages[0]: kernel of svm_classifier is searched here only",
    ]


async def test_stages_and_model_runs_that_differ_are_told(
    starting: Starting, store: MemoryRequestStore
) -> None:
    earlier = await compared(starting, store, model_run_ids=("svm", "forest"))
    later = await compared(starting, store, model_run_ids=("forest", "svm"))
    assert differences(preview(earlier), later) == [
        "stages[0]: the model runs are others, or in another order"
    ]
    for trials in (4, 6):
        stages = [
            PlanStageRequest(method="random_search", n_iter=trials),
            PlanStageRequest(method="tpe", n_iter=trials),
        ]
        request = PlanRequest(model_run_ids=("ridge",), stages=tuple(stages))
        await starting.plan(request, PLAIN)
    assert differences(preview(store.created[-2]), store.created[-1]) == [
        "stages[0]: n_iter is 4 there and 6 here"
    ]

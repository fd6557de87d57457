"""One refusal hides no other: what can be known of the rest of a request is told with it."""

from __future__ import annotations

import pytest

from services.coordinator.service.requests import (
    ComparisonRequest,
    CrossValidationRequest,
    PlanRequest,
    PlanStageRequest,
    StartRequest,
    TuningRequest,
)
from services.coordinator.service.starting import Starting
from services.core.errors import InvalidRequest, NotFound
from tests.unit.coordinator.request_store import PLAIN, refused


async def test_a_wrong_value_in_a_grid_hides_neither_scales_nor_what_is_tried_first(
    starting: Starting,
) -> None:
    request = TuningRequest(
        model_run_id="svm",
        tuning_method="random_search",
        param_grid={"C": [0.1, "many"], "gamma": [0.1, 1.0]},
        scales={"C": "log", "gamma": "logarithmic", "coef0": "linear"},
        start=StartRequest(points_to_try=({"C": "few"}, {"kernl": "rbf"}), radius=0.5),
    )
    found = await refused(starting.tuning(request, PLAIN))
    assert set(found) == {
        'param_grid["C"][1]',
        'scales["gamma"]',
        'scales["coef0"]',
        'points_to_try[0]["C"]',
        'points_to_try[1]["kernl"]',
        "radius",
    }
    assert "known: C, gamma" in found['scales["coef0"]']


async def test_points_by_any_type_a_step_may_be_pass_while_its_choices_are_refused(
    starting: Starting,
) -> None:
    request = TuningRequest(
        model_run_id="scaled-svm",
        tuning_method="random_search",
        param_grid={"scaler": ["min_max_scaler", "scale_it"]},
        start=StartRequest(points_to_try=({"scaler": "min_max_scaler", "scaler__clip": True},)),
    )
    assert set(await refused(starting.tuning(request, PLAIN))) == {'param_grid["scaler"][1]'}


async def test_a_local_search_needs_its_start_whatever_is_wrong_with_its_space(
    starting: Starting,
) -> None:
    request = TuningRequest(
        model_run_id="svm",
        tuning_method="local",
        param_grid={"C": []},
        start=StartRequest(try_current_parameters=False, radius=2.0),
    )
    assert set(await refused(starting.tuning(request, PLAIN))) == {
        'param_grid["C"]',
        "radius",
        "try_current_parameters",
    }


async def test_a_plan_whose_space_is_refused_tells_what_is_wrong_with_its_first_points(
    starting: Starting,
) -> None:
    request = PlanRequest(
        model_run_ids=("svm", "forest"),
        stages=(PlanStageRequest(method="random_search"),),
        param_grids={"svm": {"C": ["many"]}, "forest": {"max_depth": [2.0, 4.0]}},
        points_to_try={"svm": ({"kernel": "cubic"},), "forest": ({"max_depth": 3.0},)},
    )
    assert set(await refused(starting.plan(request, PLAIN))) == {
        'param_grids["svm"]["C"][0]',
        'points_to_try["svm"].points[0]["kernel"]',
        'points_to_try["forest"].points[0]',
    }


async def test_a_model_run_that_is_unknown_hides_nothing_of_the_others(starting: Starting) -> None:
    ids = ("nowhere", "svm", "ridge", "lost")
    grids: dict[str, dict[str, list[float]]] = {"svm": {"C": [-1.0]}}
    comparison = ComparisonRequest(model_run_ids=ids, param_grids=grids)
    found = await refused(starting.comparison(comparison, PLAIN))
    assert set(found) == {
        "model_run_ids[0]",
        "model_run_ids[2]",
        "model_run_ids[3]",
        'param_grids["svm"]["C"][0]',
    }
    assert "nowhere" in found["model_run_ids[0]"]
    assert "at model_run_ids[1], for classification" in found["model_run_ids[2]"]
    plan = PlanRequest(
        model_run_ids=("svm", "nowhere"),
        stages=(PlanStageRequest(method="random_search", parameters=("depth",)),),
    )
    found = await refused(starting.plan(plan, PLAIN))
    assert set(found) == {"model_run_ids[1]", "stages[0].parameters[0]"}


async def test_model_runs_that_are_unknown_are_not_found_where_all_else_is_right(
    starting: Starting,
) -> None:
    request = ComparisonRequest(model_run_ids=("svm", "nowhere"))
    with pytest.raises(NotFound, match="nowhere"):
        await starting.comparison(request, PLAIN)
    plan = PlanRequest(
        model_run_ids=("nowhere", "svm"), stages=(PlanStageRequest(method="random_search"),)
    )
    with pytest.raises(NotFound, match="nowhere"):
        await starting.plan(plan, PLAIN)


async def test_an_unknown_model_run_alone_is_told_with_what_needs_none(starting: Starting) -> None:
    tuning = TuningRequest(model_run_id="nowhere", random_state=-1)
    assert set(await refused(starting.tuning(tuning, PLAIN))) == {"model_run_id", "random_state"}
    validation = CrossValidationRequest(model_run_id="nowhere", random_state=-1)
    assert set(await refused(starting.cross_validation(validation, PLAIN))) == {
        "model_run_id",
        "random_state",
    }


async def test_start_up_trials_are_told_by_the_stage_that_asks_for_them(starting: Starting) -> None:
    median = {"rule": "median", "startup_trials": 10}
    stages = (
        PlanStageRequest(method="random_search", n_iter=20, pruning=median),
        PlanStageRequest(method="tpe", n_iter=10, pruning=median),
    )
    request = PlanRequest(model_run_ids=("svm",), stages=stages)
    found = await refused(starting.plan(request, PLAIN))
    assert set(found) == {"stages[1].pruning.startup_trials"}
    assert "no search runs more than 10 trials" in found["stages[1].pruning.startup_trials"]


async def test_what_does_not_go_with_a_stage_is_told_once_however_wrong_its_value(
    starting: Starting,
) -> None:
    stages = (
        PlanStageRequest(method="random_search", explore=3.0, refinement_factor=9.0),
        PlanStageRequest(method="local", explore=3.0),
        PlanStageRequest(method="tpe", explore=3.0),
    )
    request = PlanRequest(model_run_ids=("svm",), stages=stages)
    with pytest.raises(InvalidRequest) as refusal:
        await starting.plan(request, PLAIN)
    fields = [each.field for each in refusal.value.violations]
    assert sorted(fields) == [
        "stages[0].explore",
        "stages[0].refinement_factor",
        "stages[1].explore",
        "stages[2].explore",
    ]

"""Plans of a client's own stages: presets, first points, local stages, pruning by stage, refusals."""

from __future__ import annotations

from typing import Any

import pytest

from services.coordinator.service.requests import (
    JsonGrid,
    PlanRequest,
    PlanStageRequest,
    SelectionRequest,
)
from services.coordinator.service.starting import Starting
from services.core.grid import grid_size
from services.core.plan import Plan
from services.core.preset_size import PresetSize
from services.core.selection import Preference
from services.core.space import FloatRange
from services.core.space_presets import preset_spreads
from services.core.spread import space_of
from services.core.start_points import NO_START_POINTS
from tests.unit.coordinator.request_store import PLAIN, MemoryRequestStore, refused

WIDE: JsonGrid = {"C": [0.1, 1.0, 10.0], "gamma": ["scale", 0.001, 0.1]}


def stages(*asked: dict[str, Any]) -> tuple[PlanStageRequest, ...]:
    return tuple(PlanStageRequest(**each) for each in asked)


async def planned(starting: Starting, store: MemoryRequestStore, **fields: Any) -> Plan:
    request = PlanRequest(**{"model_run_ids": ("svm",), "param_grids": {"svm": WIDE}, **fields})
    await starting.plan(request, PLAIN)
    return store.created[-1]


async def test_stages_that_do_not_say_how_many_share_the_trials_of_the_config(
    starting: Starting, store: MemoryRequestStore
) -> None:
    plan = await planned(
        starting,
        store,
        model_run_ids=("forest", "svm"),
        space_type="default",
        config_type="default",
        stages=stages(
            {"method": "grid_search"}, {"method": "sobol"}, {"method": "tpe", "n_iter": 10}
        ),
    )
    grid, sobol, tpe = (stage.tuning_runs[0] for stage in plan.stages)
    assert 20 / 3 < grid_size(grid.space) <= 20
    assert (sobol.planned_trials, tpe.planned_trials) == (20, 10)
    assert sobol.space == space_of(preset_spreads("random_forest_classifier", PresetSize.DEFAULT))
    # What the request says of a model's space holds for that model.
    assert plan.stages[0].tuning_runs[1].space.names == ("C", "gamma")
    assert not any(notice.startswith("RANGES_GRIDDED") for notice in plan.notices)


async def test_a_grid_stage_of_some_parameters_takes_its_part_of_a_preset(
    starting: Starting, store: MemoryRequestStore
) -> None:
    plan = await planned(
        starting,
        store,
        model_run_ids=("forest",),
        param_grids={},
        space_type="conservative",
        stages=stages({"method": "random_search"}, {"method": "grid_search"}),
    )
    whole = plan.stages[1].tuning_runs[0].space
    name = whole.names[0]
    plan = await planned(
        starting,
        store,
        model_run_ids=("forest",),
        param_grids={},
        space_type="conservative",
        stages=stages(
            {"method": "random_search"}, {"method": "grid_search", "parameters": (name,)}
        ),
    )
    assert plan.stages[1].tuning_runs[0].space.parameters == whole.parameters[:1]


async def test_the_first_stage_alone_tries_points_first_of_what_it_searches(
    starting: Starting, store: MemoryRequestStore
) -> None:
    plan = await planned(
        starting,
        store,
        points_to_try={"svm": [{"C": 10}, {"C": 1}]},
        stages=stages(
            {"method": "random_search", "parameters": ("C",)}, {"method": "bayesian", "n_iter": 5}
        ),
    )
    first, second = (stage.tuning_runs[0] for stage in plan.stages)
    assert first.start.baseline == {"C": 1.0}
    # The current parameters are tried already.
    assert first.start.points_to_try == ({"C": 10.0},)
    assert second.start == NO_START_POINTS
    plan = await planned(
        starting, store, try_current_parameters=False, stages=stages({"method": "sobol"})
    )
    assert plan.stages[0].tuning_runs[0].start == NO_START_POINTS


async def test_local_goes_around_the_current_parameters_first_and_later_around_the_best(
    starting: Starting, store: MemoryRequestStore
) -> None:
    plan = await planned(
        starting,
        store,
        stages=stages(
            {"method": "local", "parameters": ("C",), "radius": 0.25},
            {"method": "random_search"},
            {"method": "local", "radius": 0.1},
            {"method": "local"},
        ),
    )
    first, second, third, fourth = plan.stages
    domain = first.tuning_runs[0].space.parameters[0].domain
    assert isinstance(domain, FloatRange)
    assert (domain.low, domain.high) == pytest.approx((10**-0.5, 10**0.5))
    assert first.tuning_runs[0].start.baseline == {"C": 1.0}
    assert second.tuning_runs[0].space.parameters[0].domain != domain
    assert (third.refinement, third.refinement_factor) == ("near", 0.1)
    assert (fourth.refinement, fourth.refinement_factor) == ("near", 0.2)
    assert third.tuning_runs[0].start == NO_START_POINTS


async def test_a_stage_may_prune_otherwise_than_the_plan(
    starting: Starting, store: MemoryRequestStore
) -> None:
    asked = stages(
        {"method": "random_search", "pruning": {"keep": 7}},
        {"method": "sobol", "refinement": "none"},
        {"method": "random_search"},
    )
    plan = await planned(starting, store, stages=asked)
    first, second, third = (stage.tuning_runs[0].pruning for stage in plan.stages)
    assert first is not None
    # The last stage is refined: what it rests on is kept by all before it.
    assert (first.keep, first.keep_ties, second, third) == (7, True, None, None)
    plan = await planned(starting, store, stages=asked, pruning={"keep": 2})
    first, second, third = (stage.tuning_runs[0].pruning for stage in plan.stages)
    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.keep, second.keep, third.keep) == (7, 3, 2)


async def test_all_that_is_wrong_with_stages_is_told_at_once(starting: Starting) -> None:
    violations = await refused(
        starting.plan(
            PlanRequest(
                model_run_ids=("svm",),
                param_grids={"svm": WIDE},
                space_type="huge",
                selection=SelectionRequest(
                    rule="one_standard_error", simpler=(("C", Preference.LOWER),)
                ),
                points_to_try={"svm": [{"gamma": 0.1}, {"C": 1000}], "other": []},
                stages=stages(
                    {"method": "random_search", "parameters": ("C",), "radius": 0.1},
                    {"method": "local", "refinement": "fixed", "explore": 0.1, "radius": 2.0},
                    {"method": "sobol", "n_iter": 0, "pruning": {"keep": 0}},
                    {"method": "lokal"},
                ),
            ),
            PLAIN,
        )
    )
    assert set(violations) == {
        "space_type",
        # It would weigh candidates that a stage stops early.
        "selection.rule",
        "stages[0].radius",
        "stages[1].refinement",
        "stages[1].explore",
        "stages[1].radius",
        "stages[1].parameters",
        "stages[2].n_iter",
        "stages[2].pruning.keep",
        "stages[3].method",
        'points_to_try["svm"].points[0]["gamma"]',
        'points_to_try["svm"].points[1]',
        'points_to_try["other"]',
    }
    assert "no stage before searches gamma" in violations["stages[1].parameters"]


async def test_a_grid_takes_no_points_of_a_plan_either(starting: Starting) -> None:
    violations = await refused(
        starting.plan(
            PlanRequest(
                model_run_ids=("svm", "forest"),
                points_to_try={"svm": [{"C": 1}]},
                try_current_parameters=True,
                space_type="default",
                param_grids={"svm": WIDE, "forest": {"max_depth": [3]}},
                stages=stages({"method": "grid_search"}),
            ),
            PLAIN,
        )
    )
    assert set(violations) == {
        'points_to_try["svm"].points',
        "try_current_parameters",
        "space_type",
    }

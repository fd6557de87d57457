"""Preset spaces and budgets in plans: chosen independently, and never against what a request says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.coordinator.service.requests import (
    ComparisonRequest,
    ProgressiveSearchRequest,
    TuningRequest,
)
from services.coordinator.service.starting import Starting
from services.core.grid import grid_size
from services.core.preset_size import PresetSize
from services.core.space import FloatRange, Grid, IntRange
from services.core.space_presets import preset_spreads
from services.core.spread import space_of
from tests.unit.coordinator.request_store import MODEL_RUNS, PLAIN, MemoryRequestStore, refused


async def test_methods_that_need_no_grid_search_the_ranges(
    starting: Starting, store: MemoryRequestStore
) -> None:
    for method in ("random_search", "sobol", "bayesian", "tpe"):
        request = TuningRequest(
            model_run_id="forest", tuning_method=method, space_type="aggressive", n_iter=9
        )
        await starting.tuning(request, PLAIN)
        run = store.created[-1].stages[0].tuning_runs[0]
        assert run.space == space_of(
            preset_spreads("random_forest_classifier", PresetSize.AGGRESSIVE)
        )
        assert run.planned_trials == 9


async def test_a_grid_search_tries_a_grid_of_the_ranges_within_the_trials_of_the_config(
    starting: Starting, store: MemoryRequestStore
) -> None:
    for config, limit in (("", 50), ("conservative", 5), ("default", 50), ("aggressive", 100)):
        request = TuningRequest(model_run_id="forest", space_type="default", config_type=config)
        await starting.tuning(request, PLAIN)
        run = store.created[-1].stages[0].tuning_runs[0]
        assert all(isinstance(each.domain, Grid) for each in run.space.parameters)
        assert limit / 3 < grid_size(run.space) <= limit
        assert run.planned_trials == grid_size(run.space)


async def test_a_progressive_search_goes_from_a_grid_of_the_ranges_to_the_ranges(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = ProgressiveSearchRequest(model_run_id="svm", space_type="conservative")
    await starting.progressive_search(request, PLAIN)
    grid, random, bayesian = (each.tuning_runs[0].space for each in store.created[0].stages)
    assert grid_size(grid) <= 20
    assert [type(each.domain) for each in grid.parameters] == [Grid, Grid]
    for space in (random, bayesian):
        assert space.parameters[0].domain == FloatRange(low=0.5, high=10.0, log=True)
        assert space.parameters[1].specials == ("scale",)


async def test_a_preset_leaves_out_what_the_model_run_fixes(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = TuningRequest(
        model_run_id="fixed-forest", tuning_method="random_search", space_type="conservative"
    )
    await starting.tuning(request, PLAIN)
    space = store.created[0].stages[0].tuning_runs[0].space
    assert space.names == ("max_depth", "min_samples_leaf")
    assert space.parameters[0].domain == IntRange(low=4, high=12)


async def test_a_preset_of_which_everything_is_fixed_is_refused(
    starting: Starting, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = replace(MODEL_RUNS["ridge"], fixed_parameters={"alpha": 1.0})
    monkeypatch.setitem(MODEL_RUNS, "ridge", fixed)
    request = TuningRequest(model_run_id="ridge", space_type="conservative")
    found = await refused(starting.tuning(request, PLAIN))
    assert "every parameter of the conservative space of ridge (alpha)" in found["param_grid"]


async def test_in_a_comparison_a_preset_is_for_those_without_a_grid(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = ComparisonRequest(
        model_run_ids=("forest", "svm"),
        tuning_method="random_search",
        param_grids={"svm": {"C": [0.5, 1.0]}},
        space_type="default",
    )
    await starting.comparison(request, PLAIN)
    forest, svm = store.created[0].stages[0].tuning_runs
    assert forest.total_combinations is None
    assert svm.space.names == ("C",)


@pytest.mark.parametrize(
    "call",
    [
        lambda starting, **preset: starting.tuning(
            TuningRequest(model_run_id="svm", param_grid={"C": [1.0]}, **preset), PLAIN
        ),
        lambda starting, **preset: starting.progressive_search(
            ProgressiveSearchRequest(model_run_id="svm", initial_param_grid={"C": [1.0]}, **preset),
            PLAIN,
        ),
        lambda starting, **preset: starting.comparison(
            ComparisonRequest(model_run_ids=("svm",), param_grids={"svm": {"C": [1.0]}}, **preset),
            PLAIN,
        ),
    ],
    ids=["tuning", "progressive", "comparison"],
)
async def test_a_preset_space_beside_a_grid_and_unknown_presets_are_refused(
    starting: Starting, call: Any
) -> None:
    found = await refused(call(starting, space_type="default", config_type="7"))
    assert set(found) == {"space_type", "config_type"}
    assert "goes with no space of the request's own" in found["space_type"]
    assert found["config_type"] == ("7 is no preset; use one of conservative, default, aggressive")
    assert set(await refused(call(starting, space_type="9"))) == {"space_type"}

"""Requests that search preprocessing steps."""

from __future__ import annotations

from services.coordinator.service.requests import StartRequest, TuningRequest
from services.coordinator.service.starting import Starting
from services.core.space import Condition, Parameter
from tests.unit.coordinator.request_store import PLAIN, MemoryRequestStore, refused


async def test_a_steps_parameters_are_active_with_the_types_that_take_them(
    starting: Starting, store: MemoryRequestStore
) -> None:
    await starting.tuning(
        TuningRequest(
            model_run_id="scaled-svm",
            param_grid={
                "C": [1.0, 10.0],
                "scaler": ["standard_scaler", "robust_scaler", "passthrough"],
                "scaler__with_mean": [True, False],
                "reduce": ["pca", "truncated_svd"],
                "reduce__n_components": [2.0, 3.0],
            },
        ),
        PLAIN,
    )
    (plan,) = store.created
    run = plan.stages[0].tuning_runs[0]
    known: dict[str, Parameter] = {each.name: each for each in run.space.parameters}
    assert known["scaler__with_mean"].conditions == (
        Condition(parent="scaler", values=("standard_scaler",)),
    )
    # Both take it: nothing to switch off, as in scikit-learn's grid.
    assert known["reduce__n_components"].conditions == ()
    assert {name for name, each in known.items() if each.is_step} == {"scaler", "reduce"}
    assert run.total_combinations == 2 * (2 + 1 + 1) * 2 * 2


async def test_the_models_own_steps_are_what_improvement_is_measured_by(
    starting: Starting, store: MemoryRequestStore
) -> None:
    await starting.tuning(
        TuningRequest(
            model_run_id="scaled-svm",
            tuning_method="random_search",
            param_grid={
                "scaler": ["standard_scaler", "min_max_scaler", "passthrough"],
                "scaler__clip": [True, False],
            },
            start=StartRequest(points_to_try=({"scaler": "min_max_scaler", "scaler__clip": True},)),
        ),
        PLAIN,
    )
    (plan,) = store.created
    start = plan.stages[0].tuning_runs[0].start
    assert start.baseline == {"scaler": "standard_scaler"}
    assert start.points_to_try == ({"scaler": "min_max_scaler", "scaler__clip": True},)


async def test_what_cannot_stand_in_a_steps_place_is_refused(starting: Starting) -> None:
    found = await refused(
        starting.tuning(
            TuningRequest(
                model_run_id="scaled-svm",
                param_grid_list=(
                    {"scaler": ["one_hot_encoder", "min_max_scaller"]},
                    {"scaler": ["passthrough"], "reduce": ["pca"]},
                ),
            ),
            PLAIN,
        )
    )
    assert set(found) == {
        'param_grid_list[0].values["scaler"][0]',
        'param_grid_list[0].values["scaler"][1]',
    }
    assert '"passthrough"' in found['param_grid_list[0].values["scaler"][1]']


async def test_a_parameter_that_no_type_takes_or_one_type_refuses_is_told(
    starting: Starting,
) -> None:
    found = await refused(
        starting.tuning(
            TuningRequest(
                model_run_id="scaled-svm",
                param_grid={
                    "scaler": ["passthrough"],
                    "scaler__with_mean": [True],
                    "reduce": ["pca", "truncated_svd"],
                    "reduce__n_components": [2.0, "mle"],
                },
            ),
            PLAIN,
        )
    )
    assert set(found) == {
        'param_grid["scaler__with_mean"]',
        'param_grid["reduce__n_components"]',
    }
    assert "truncated_svd" in found['param_grid["reduce__n_components"]']
    assert "list of grids" in found['param_grid["reduce__n_components"]']

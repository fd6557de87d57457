"""Spaces that are refused: too many points, two ways to say one, what stages would tear apart."""

from __future__ import annotations

from services.coordinator.service.requests import (
    ComparisonRequest,
    PlanRequest,
    PlanStageRequest,
    TuningRequest,
)
from services.coordinator.service.starting import Starting
from services.core.space import Choices, Condition, Ordered
from services.core.space_request import (
    DistributionRequest,
    ParameterRequest,
    RangeRequest,
    SpaceRequest,
)
from tests.unit.coordinator.request_store import PLAIN, MemoryRequestStore, refused


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

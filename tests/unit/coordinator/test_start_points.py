"""What a tuning run tries first: defaults by method, points given, what is refused."""

from __future__ import annotations

import math

import pytest

from services.coordinator.service.requests import JsonGrid, StartRequest, TuningRequest
from services.coordinator.service.starting import Starting
from services.core.plan import TuningRunPlan
from services.core.space import FloatRange
from services.core.space_request import ParameterRequest, RangeRequest, SpaceRequest
from services.core.start_points import NO_START_POINTS
from tests.unit.coordinator.request_store import PLAIN, MemoryRequestStore, refused

WIDE: JsonGrid = {"C": [0.1, 1.0, 10.0], "gamma": ["scale", 0.001, 0.1]}


async def _planned(
    starting: Starting, store: MemoryRequestStore, request: TuningRequest
) -> TuningRunPlan:
    await starting.tuning(request, PLAIN)
    return store.created[-1].stages[0].tuning_runs[0]


@pytest.mark.parametrize("method", ["random_search", "sobol", "bayesian", "tpe", "local"])
async def test_the_current_parameters_are_tried_first_where_they_lie_in_the_space(
    starting: Starting, store: MemoryRequestStore, method: str
) -> None:
    request = TuningRequest(model_run_id="svm", tuning_method=method, param_grid=WIDE)
    run = await _planned(starting, store, request)
    assert run.start.baseline == {"C": 1.0, "gamma": "scale"}


async def test_they_are_left_out_where_they_do_not(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = TuningRequest(
        model_run_id="svm", tuning_method="random_search", param_grid={"C": [0.5, 10.0]}
    )
    assert (await _planned(starting, store, request)).start == NO_START_POINTS


async def test_a_grid_search_tries_its_candidates_alone(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = TuningRequest(model_run_id="svm", param_grid=WIDE)
    assert (await _planned(starting, store, request)).start == NO_START_POINTS
    found = await refused(
        starting.tuning(
            TuningRequest(
                model_run_id="svm",
                param_grid=WIDE,
                start=StartRequest(
                    points_to_try=[{"C": 1.0}], try_current_parameters=True, radius=0.5
                ),
            ),
            PLAIN,
        )
    )
    assert set(found) == {"points_to_try", "try_current_parameters", "radius"}


async def test_points_given_are_filled_up_with_current_values_and_not_repeated(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = TuningRequest(
        model_run_id="svm",
        tuning_method="tpe",
        param_grid=WIDE,
        start=StartRequest(
            points_to_try=[{"C": 5.0}, {"C": 5.0}, {"C": 1.0}, {"C": 1.0, "gamma": 0.01}],
        ),
    )
    run = await _planned(starting, store, request)
    assert run.start.points_to_try == (
        {"C": 5.0, "gamma": "scale"},
        {"C": 1.0, "gamma": 0.01},
    )


async def test_the_baseline_can_be_left_out(starting: Starting, store: MemoryRequestStore) -> None:
    request = TuningRequest(
        model_run_id="svm",
        tuning_method="tpe",
        param_grid=WIDE,
        start=StartRequest(try_current_parameters=False),
    )
    assert (await _planned(starting, store, request)).start == NO_START_POINTS


async def test_a_local_search_keeps_near_the_current_parameters(
    starting: Starting, store: MemoryRequestStore
) -> None:
    request = TuningRequest(
        model_run_id="svm",
        tuning_method="local",
        param_grid={"C": [0.01, 0.1, 1.0, 10.0, 100.0]},
        start=StartRequest(radius=0.25),
    )
    run = await _planned(starting, store, request)
    domain = run.space.parameters[0].domain
    assert isinstance(domain, FloatRange)
    assert (domain.low, domain.high) == pytest.approx((0.1, 10.0))


@pytest.mark.parametrize("radius", [0.0, -1.0, 1.5, math.nan, math.inf])
async def test_a_radius_outside_its_range_is_refused(starting: Starting, radius: float) -> None:
    request = TuningRequest(
        model_run_id="svm",
        tuning_method="local",
        param_grid=WIDE,
        start=StartRequest(radius=radius),
    )
    found = await refused(starting.tuning(request, PLAIN))
    assert "(0, 1]" in found["radius"]


async def test_everything_wrong_with_points_is_said_at_once(starting: Starting) -> None:
    request = TuningRequest(
        model_run_id="svm",
        tuning_method="bayesian",
        param_grid={"C": [2.0, 10.0]},
        start=StartRequest(
            points_to_try=[{"C": 1.0}, {"C": 3.0, "gamma": "scale"}, {"C": "much"}, {"c": 3.0}],
            try_current_parameters=True,
            radius=0.5,
        ),
    )
    found = await refused(starting.tuning(request, PLAIN))
    assert set(found) == {
        "param_grid",
        "radius",
        "points_to_try[0]",
        'points_to_try[1]["gamma"]',
        'points_to_try[2]["C"]',
        'points_to_try[3]["c"]',
    }
    assert "C is 1.0" in found["param_grid"]


async def test_a_local_search_whose_start_lies_outside_the_space_is_refused(
    starting: Starting,
) -> None:
    request = TuningRequest(
        model_run_id="svm", tuning_method="local", param_grid={"C": [2.0, 10.0]}
    )
    found = await refused(starting.tuning(request, PLAIN))
    assert "C is 1.0" in found["param_grid"]
    # The path is that of what the request gave.
    away = RangeRequest(whole=False, low=2.0, high=10.0)
    request = TuningRequest(
        model_run_id="svm",
        tuning_method="local",
        search_space=SpaceRequest(parameters=(ParameterRequest(name="C", domain=away),)),
    )
    found = await refused(starting.tuning(request, PLAIN))
    assert "C is 1.0" in found["search_space"]
    request = TuningRequest(
        model_run_id="svm",
        tuning_method="local",
        param_grid=WIDE,
        start=StartRequest(try_current_parameters=False),
    )
    found = await refused(starting.tuning(request, PLAIN))
    assert "local starts from them" in found["try_current_parameters"]

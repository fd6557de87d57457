"""Spaces of alternatives, such as a list of grids as GridSearchCV takes one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import ParameterGrid

from services.core.containment import require_contained
from services.core.counting import cardinality
from services.core.current_parameters import active_part, outside
from services.core.encoding import n_dims, to_unit_cube
from services.core.errors import InvalidRequest, OutOfSpace
from services.core.grid import grid_point, grid_size, parse_grid_list
from services.core.hull import hull_space
from services.core.model_catalog import MODEL_TYPES
from services.core.neighbourhood_box import box_around
from services.core.refinement import refine
from services.core.sampling import generator, sample
from services.core.space import (
    FloatRange,
    Grid,
    Parameter,
    SearchSpace,
    Value,
    alternative_at,
    contains,
)
from tests.unit.core.strategies import make_trial

_SVM = MODEL_TYPES["svm_classifier"].parameters
_LIST: list[dict[str, list[Value]]] = [
    {"kernel": ["linear"], "C": [1.0, 10.0, 100.0]},
    {"kernel": ["rbf", "poly"], "gamma": [0.01, 0.001], "C": [1.0, 10.0]},
    {"C": [5.0]},
]
_GRIDS = parse_grid_list(_LIST, [_SVM] * 3, field="param_grid_list")


def test_points_stand_in_the_order_of_parameter_grid() -> None:
    made = [dict(grid_point(_GRIDS, place)) for place in range(grid_size(_GRIDS))]
    assert made == list(ParameterGrid(_LIST))
    assert cardinality(_GRIDS) == len(made) == 12


def test_a_list_of_one_grid_is_that_grid() -> None:
    (alone,) = _LIST[:1]
    assert parse_grid_list([alone], [_SVM], field="g") == _GRIDS.alternatives[0]


def test_everything_wrong_with_a_list_is_told_by_grid() -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_grid_list([{"C": [-1.0]}, {}, {"gama": [1.0]}], [_SVM] * 3, field="l")
    told = {each.field for each in raised.value.violations}
    assert told == {'l[0].values["C"][0]', "l[1].values", 'l[2].values["gama"]'}


def test_all_grids_together_keep_to_the_limit() -> None:
    with pytest.raises(InvalidRequest, match="has 3 points"):
        parse_grid_list([{"C": [1.0, 2.0]}, {"C": [1.0]}], [_SVM] * 2, field="l", max_points=2)


def test_every_point_of_finite_alternatives_is_as_likely() -> None:
    drawn = [alternative_at(_GRIDS, sample(_GRIDS, generator(1, n))) or 0 for n in range(600)]
    shares = np.bincount(drawn, minlength=3) / 600
    assert np.abs(shares - np.array([3, 8, 1]) / 12).max() < 0.06


def test_a_point_of_no_alternative_is_told_once() -> None:
    with pytest.raises(OutOfSpace, match="none of the 3 alternatives"):
        require_contained(_GRIDS, {"kernel": "linear", "C": 1.0, "gamma": 0.1})


def test_alternatives_do_not_share_dimensions() -> None:
    hull = hull_space(_GRIDS)
    # Three that say which; C; C, gamma and two kernels; nothing.
    assert n_dims(hull) == 3 + 1 + 4 + 0
    linear, rbf = to_unit_cube(
        hull,
        [{"kernel": "linear", "C": 1.0}, {"kernel": "rbf", "C": 1.0, "gamma": 0.01}],
    )
    assert linear.tolist() == [1, 0, 0, 0, 0.5, 0.5, 0, 0]
    assert rbf.tolist() == [0, 1, 0, 0.5, 0, 1, 1, 0]


def test_the_grid_of_the_best_trial_is_gone_on_with() -> None:
    scores = [0.5, 0.6, 0.7, 0.8, 0.81, 0.82, 0.83, 0.95, 0.7, 0.7, 0.7, 0.2]
    trials = [make_trial(n, grid_point(_GRIDS, n), each) for n, each in enumerate(scores)]
    best = trials[7]
    made = refine(hull_space(_GRIDS), _GRIDS, trials, 0.3, source_method="grid_search")
    assert not made.space_after.alternatives
    assert contains(made.space_after, best.parameters)
    assert set(made.space_after.names) == {"C", "gamma", "kernel"}
    assert "alternative 2 of 3, that of trial 7" in made.summary
    assert set(made.evidence_trial_numbers) <= set(range(3, 11))
    # Looking outside found something better in another grid: the next stage goes there.
    stranger = make_trial(12, {"kernel": "linear", "C": 50.0}, 0.99)
    again = refine(
        hull_space(_GRIDS),
        made.space_after,
        [*trials, stranger],
        0.3,
        source_method="random_search",
    )
    assert set(again.space_after.names) == {"C", "kernel"}
    assert contains(again.space_after, stranger.parameters)


def test_a_box_lies_in_the_alternative_that_holds_its_centre() -> None:
    spaces = [
        SearchSpace.of(
            [
                Parameter(name="kernel", domain=Grid(values=(kernel,))),
                Parameter(name="C", domain=FloatRange(low=1.0, high=high)),
            ]
        )
        for kernel, high in (("linear", 2.0), ("rbf", 11.0))
    ]
    box = box_around(SearchSpace.of_alternatives(spaces), {"kernel": "rbf", "C": 5.0}, 0.1)
    assert contains(box, {"kernel": "rbf", "C": 4.5})
    assert not contains(box, {"kernel": "rbf", "C": 3.0})
    assert not contains(box, {"kernel": "linear", "C": 1.5})


def test_current_parameters_are_looked_for_in_each_alternative() -> None:
    known: dict[str, Value] = {"kernel": "rbf", "C": 1.0, "gamma": 0.01}
    assert active_part(_GRIDS, known) == known
    assert outside(_GRIDS, known) == []
    assert active_part(_GRIDS, {**known, "C": 5.0}) == {"C": 5.0}
    assert outside(_GRIDS, {"kernel": "rbf", "C": 7.0}) == ["C is 7.0"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: SearchSpace(parameters=_GRIDS.alternatives[0].parameters, alternatives=(_GRIDS,)),
        lambda: SearchSpace(parameters=(), alternatives=(_GRIDS, _GRIDS)),
    ],
)
def test_alternatives_stand_alone(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match="stand alone"):
        make()

"""Spaces with conditions and constraints: whatever comes out of them satisfies them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.binding_checks import torn_apart
from services.core.constraints import scaled_to_one, sums_to_one
from services.core.containment import require_contained
from services.core.counting import cardinality, point_at_index
from services.core.digest import assignment_digest
from services.core.encoding import from_unit_cube, n_dims, neighbours, to_unit_cube
from services.core.errors import OutOfSpace
from services.core.grid import gridded
from services.core.hull import hull_space
from services.core.placement import place_names, point_at
from services.core.refinement import refine
from services.core.refinement_groups import with_constraints_met
from services.core.sampling import generator, sample, sample_without_repeat
from services.core.space import (
    Assignment,
    Choices,
    Condition,
    Fixed,
    FloatRange,
    IntRange,
    Ordered,
    Parameter,
    SearchSpace,
    SumToOne,
    contains,
    parameter_size,
    value_at,
)
from tests.unit.core import strategies

_SVM = SearchSpace.of(
    [
        Parameter(name="C", domain=Choices(values=(1.0, 10.0))),
        Parameter(
            name="degree",
            domain=IntRange(low=2, high=4),
            conditions=(Condition(parent="kernel", values=("poly",)),),
        ),
        Parameter(
            name="coef0",
            domain=Choices(values=(0.0, 1.0)),
            conditions=(Condition(parent="degree", values=(3, 4)),),
        ),
        Parameter(
            name="gamma",
            domain=Choices(values=("scale", "auto")),
            conditions=(Condition(parent="kernel", values=("rbf", "poly")),),
        ),
        Parameter(name="kernel", domain=Choices(values=("linear", "rbf", "poly"))),
    ]
)


def test_a_point_has_values_for_what_is_active_only() -> None:
    assert contains(_SVM, {"C": 1.0, "kernel": "linear"})
    assert contains(_SVM, {"C": 1.0, "kernel": "rbf", "gamma": "auto"})
    assert not contains(_SVM, {"C": 1.0, "kernel": "rbf"})
    assert not contains(_SVM, {"C": 1.0, "kernel": "linear", "gamma": "auto"})
    with pytest.raises(OutOfSpace) as raised:
        require_contained(_SVM, {"C": 1.0, "kernel": "linear", "gamma": "auto", "x": 1})
    assert {each.field: each.description for each in raised.value.violations} == {
        "gamma": "is not active at this point",
        "x": "is not a parameter of the space",
    }


def test_the_points_of_a_tree_are_counted_by_value() -> None:
    # linear 1, rbf 2, poly: gamma 2 x (degree 2 alone, 3 and 4 with two coef0 each).
    assert cardinality(_SVM) == 2 * (1 + 2 + 2 * (1 + 2 + 2))
    points = [point_at_index(_SVM, place) for place in range(26)]
    assert len({assignment_digest(each) for each in points}) == 26
    assert points[0] == {"C": 1.0, "kernel": "linear"}
    assert all(contains(_SVM, each) for each in points)


def test_a_parameter_is_active_where_all_its_parents_have_the_values_named() -> None:
    space = SearchSpace.of(
        [
            Parameter(name="solver", domain=Choices(values=("liblinear", "saga"))),
            Parameter(name="penalty", domain=Choices(values=("l1", "l2", "elasticnet"))),
            Parameter(
                name="l1_ratio",
                domain=Choices(values=(0.2, 0.8)),
                conditions=(
                    Condition(parent="solver", values=("saga",)),
                    Condition(parent="penalty", values=("elasticnet",)),
                ),
            ),
        ]
    )
    assert cardinality(space) == 2 * 3 - 1 + 2
    points = [point_at_index(space, place) for place in range(7)]
    assert [each.get("l1_ratio") for each in points] == [None, None, None, None, None, 0.2, 0.8]
    assert [each["penalty"] for each in points[:2]] == ["l1", "l1"]
    assert all(contains(space, each) for each in points)
    assert not contains(space, {"solver": "saga", "penalty": "l2", "l1_ratio": 0.2})


def _enumerated(space: SearchSpace) -> set[str]:
    """Every point, by trying all combinations of all values and of absence."""
    choices = []
    for parameter in space.parameters:
        values = [(value_at(parameter, n),) for n in range(parameter_size(parameter) or 0)]
        choices.append([*values, ()] if parameter.conditions else values)
    found = set()
    for combination in itertools.product(*choices):
        point = {
            name: chosen[0] for name, chosen in zip(space.names, combination, strict=True) if chosen
        }
        if contains(space, point):
            found.add(assignment_digest(point))
    return found


@strategies.few
@given(strategies.bound_spaces())
def test_the_size_of_a_space_is_the_number_of_its_points(space: SearchSpace) -> None:
    product = 1
    for parameter in space.parameters:
        product *= (parameter_size(parameter) or 10**6) + (bool(parameter.conditions))
    size = cardinality(space)
    if product > 3_000 or size is None:
        return
    points = [point_at_index(space, place) for place in range(size)]
    assert all(contains(space, each) for each in points)
    digests = {assignment_digest(each) for each in points}
    # Values such as 0.0 and -0.0 may share a digest.
    assert digests == _enumerated(space)
    assert len(digests) == size


@strategies.few
@given(strategies.searchable_spaces(), st.integers(0, 1000))
def test_whatever_is_sampled_or_placed_satisfies_the_space(space: SearchSpace, seed: int) -> None:
    for index in range(5):
        require_contained(space, sample(space, generator(seed, index)))
        rng = generator(seed, index, 1)
        places = {name: float(rng.random()) for name in place_names(space)}
        require_contained(space, point_at(space, places))


@strategies.few
@given(strategies.searchable_spaces(), st.integers(0, 1000))
def test_whatever_is_decoded_satisfies_the_space(space: SearchSpace, seed: int) -> None:
    rows = generator(seed, 0).uniform(-0.2, 1.2, size=(4, n_dims(space)))
    points = from_unit_cube(space, rows)
    for point in points:
        require_contained(space, point)
    cube = to_unit_cube(space, points)
    assert cube.min(initial=0.0) >= 0.0
    assert cube.max(initial=1.0) <= 1.0


@strategies.few
@given(strategies.conditional_spaces(), st.integers(0, 1000))
def test_points_come_back_from_the_cube_with_the_same_parameters_active(
    space: SearchSpace, seed: int
) -> None:
    points = [sample(space, generator(seed, index)) for index in range(3)]
    back = from_unit_cube(space, to_unit_cube(space, points))
    assert [set(each) for each in back] == [set(each) for each in points]


@strategies.few
@given(strategies.searchable_spaces(), st.integers(0, 1000), st.floats(1e-6, 1.0))
def test_neighbours_satisfy_the_space(space: SearchSpace, seed: int, scale: float) -> None:
    rng = generator(seed, 0)
    for each in neighbours(space, sample(space, rng), rng, scale, count=4):
        require_contained(space, each)


@strategies.few
@given(strategies.searchable_spaces(), st.integers(2, 4))
def test_a_grid_has_points_and_they_satisfy_the_space(space: SearchSpace, resolution: int) -> None:
    grid = gridded(space, resolution)
    size = cardinality(grid)
    assert size is not None
    assert size >= 1
    for place in {0, size - 1, size // 2, size // 3}:
        require_contained(space, point_at_index(grid, place))


@strategies.few
@given(
    strategies.searchable_spaces(),
    st.lists(st.sampled_from([0.1, 0.5, 0.5, 0.9]), min_size=1, max_size=12),
    st.floats(0.01, 1.0),
    st.sampled_from(["grid_search", "random_search"]),
    st.integers(0, 1000),
)
def test_whatever_is_sampled_of_a_refined_space_satisfies_the_original(
    space: SearchSpace, scores: list[float], factor: float, method: str, seed: int
) -> None:
    trials = strategies.sampled_trials(space, scores, seed)
    bounds = hull_space(space)
    after = refine(space, space, trials, factor, source_method=method).space_after
    again = refine(space, after, trials, factor, source_method="random_search").space_after
    for refined in (after, again):
        assert refined.constraints in [each.constraints for each in space.parts]
        for index in range(3):
            point = sample(refined, generator(seed, index))
            require_contained(refined, point)
            require_contained(bounds, point)
        size = cardinality(refined)
        assert size is None or size >= 2 or 1 in map(cardinality, bounds.parts)


def test_a_parameter_active_in_one_top_trial_stays_as_it_was() -> None:
    space = SearchSpace.of(
        [
            Parameter(
                name="gamma",
                domain=FloatRange(low=0.0, high=1.0),
                conditions=(Condition(parent="kernel", values=("rbf",)),),
            ),
            Parameter(name="kernel", domain=Choices(values=("linear", "rbf"))),
        ]
    )
    points: list[Assignment] = [
        {"kernel": "rbf", "gamma": 0.5},
        {"kernel": "linear"},
        {"kernel": "linear"},
        {"kernel": "rbf", "gamma": 0.6},
    ]
    scores = [0.9, 0.8, 0.7, 0.1]
    trials = [
        strategies.make_trial(n, point, score)
        for n, (point, score) in enumerate(zip(points, scores, strict=True))
    ]
    after = refine(space, space, trials, 0.3, source_method="random_search").space_after
    assert after.parameters[0].domain == FloatRange(low=0.0, high=1.0)
    trials[1] = strategies.make_trial(1, {"kernel": "rbf", "gamma": 0.52}, 0.8)
    after = refine(space, space, trials, 0.3, source_method="random_search").space_after
    assert after.parameters[0].domain != FloatRange(low=0.0, high=1.0)


def test_a_box_that_no_weights_fill_is_widened_evenly() -> None:
    names = ("a", "b")
    original = SearchSpace.of(
        [Parameter(name=each, domain=FloatRange(low=0.0, high=1.0)) for each in names],
        [SumToOne(names=names)],
    )
    tight = SearchSpace.of(
        [Parameter(name=each, domain=FloatRange(low=0.1, high=0.2)) for each in names],
        [SumToOne(names=names)],
    )
    widened = with_constraints_met(original, tight)
    domains = [each.domain for each in widened.parameters]
    assert domains[0] == domains[1]
    assert isinstance(domains[0], FloatRange)
    assert 0.5 <= domains[0].high <= 0.6
    assert contains(widened, sample(widened, generator(1, 0)))


def test_thresholds_out_of_order_are_widened_too() -> None:
    original = SearchSpace.of(
        [Parameter(name=each, domain=IntRange(low=0, high=20)) for each in "ab"],
        [Ordered(names=("a", "b"))],
    )
    tight = SearchSpace.of(
        [
            Parameter(name="a", domain=IntRange(low=10, high=12)),
            Parameter(name="b", domain=IntRange(low=4, high=6)),
        ],
        [Ordered(names=("a", "b"))],
    )
    widened = with_constraints_met(original, tight)
    point = sample(widened, generator(1, 0))
    assert isinstance(point["a"], int)
    assert isinstance(point["b"], int)
    assert point["a"] <= point["b"]
    assert cardinality(widened) != 441


def test_every_point_of_a_small_bound_space_is_drawn_once() -> None:
    space = SearchSpace.of(
        [Parameter(name=each, domain=IntRange(low=1, high=4)) for each in "ab"],
        [Ordered(names=("b", "a"))],
    )
    assert cardinality(space) == 10
    taken: set[str] = set()
    for index in range(10):
        point = sample_without_repeat(space, 7, index, taken)
        assert point is not None
        taken.add(assignment_digest(point))
    assert len(taken) == 10
    assert sample_without_repeat(space, 7, 10, taken) is None


def test_weights_are_spread_over_the_simplex() -> None:
    names = ("a", "b", "c")
    space = SearchSpace.of(
        [Parameter(name=each, domain=FloatRange(low=0.0, high=1.0)) for each in names],
        [SumToOne(names=names)],
    )
    points = [sample(space, generator(3, index)) for index in range(600)]
    drawn = np.array([[point[each] for each in names] for point in points], dtype=float)
    np.testing.assert_allclose(drawn.sum(axis=1), 1.0, atol=1e-12)
    # Uniform on the simplex: mean 1/3 and variance 1/18 each (Dirichlet(1, 1, 1)).
    np.testing.assert_allclose(drawn.mean(axis=0), 1 / 3, atol=0.04)
    np.testing.assert_allclose(drawn.var(axis=0), 1 / 18, atol=0.015)


@given(st.lists(st.floats(-2.0, 2.0), min_size=2, max_size=5))
def test_the_nearest_weights_that_sum_to_one_keep_their_bounds(values: list[float]) -> None:
    lows, highs = [0.0] * len(values), [1.0] * len(values)
    moved = scaled_to_one(values, lows, highs)
    assert sums_to_one(moved)
    assert all(0.0 <= each <= 1.0 for each in moved)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SearchSpace.of([_on("a", "b"), _on("b", "a")]),
        lambda: SearchSpace.of([_on("a", "z")]),
        lambda: SearchSpace.of([_number("a")], [SumToOne(names=("a", "z"))]),
        lambda: SearchSpace.of(
            [_number("a"), _number("b"), _number("c")],
            [SumToOne(names=("a", "b")), Ordered(names=("b", "c"))],
        ),
        lambda: SearchSpace.of([_number("a"), _on("b", "a")], [Ordered(names=("a", "b"))]),
    ],
)
def test_a_space_that_contradicts_itself_cannot_be_made(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=r"condition|constraint"):
        make()


def _number(name: str) -> Parameter:
    return Parameter(name=name, domain=FloatRange(low=0.0, high=1.0))


def _on(name: str, parent: str) -> Parameter:
    return Parameter(
        name=name, domain=Fixed(value=1), conditions=(Condition(parent=parent, values=(1,)),)
    )


def test_bound_parameters_that_a_later_stage_leaves_out_are_held_at_their_best() -> None:
    names = ("a", "b")
    space = SearchSpace.of(
        [
            *(Parameter(name=each, domain=FloatRange(low=0.0, high=1.0)) for each in names),
            Parameter(name="c", domain=IntRange(low=1, high=9)),
        ],
        [SumToOne(names=names)],
    )
    assert torn_apart(space, ["a", "c"]) == [("a", "b")]
    assert torn_apart(space, ["c"]) == []
    assert torn_apart(_SVM, ["degree", "kernel"]) == [("degree", "coef0"), ("kernel", "gamma")]
    trials = strategies.sampled_trials(space, [0.1, 0.5, 0.9], 3)
    alone = SearchSpace.of([space.parameters[2]])
    refined = refine(alone, space, trials, 0.3, source_method="random_search")
    point = sample(refined.space_after, generator(1, 0))
    assert {name: point[name] for name in names} == {
        name: trials[2].parameters[name] for name in names
    }
    assert contains(space, point)

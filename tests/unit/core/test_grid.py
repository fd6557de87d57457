from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import ParameterGrid

from services.core.errors import InvalidRequest
from services.core.grid import grid_point, grid_size, gridded, parse_param_grid
from services.core.model_catalog import MODEL_TYPES
from services.core.parameter_schema import Floats, Ints, ParameterSchema, Tuples
from services.core.space import (
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    Value,
    contains,
    parameter_size,
)
from services.core.violations import Violations
from tests.unit.core import strategies

_SCHEMAS = {
    "count": ParameterSchema(ints=Ints(low=1), nullable=True),
    "share": ParameterSchema(floats=Floats(low=0.0)),
    "either": ParameterSchema(
        ints=Ints(low=1), floats=Floats(low=0.0, high=1.0), strings=("sqrt",)
    ),
    "layers": ParameterSchema(tuples=Tuples(items=Ints(low=1))),
    "flag": ParameterSchema(booleans=True),
    "scale__with_mean": ParameterSchema(booleans=True),
}


def _grid(**values: tuple[Value, ...]) -> SearchSpace:
    return SearchSpace.of(
        Parameter(name=name, domain=Grid(values=each)) for name, each in values.items()
    )


@strategies.few
@given(strategies.grids())
def test_points_come_in_the_order_of_scikit_learn(space: SearchSpace) -> None:
    lists = {
        each.name: list(each.domain.values)
        for each in space.parameters
        if isinstance(each.domain, Grid)
    }
    expected = list(ParameterGrid(lists))
    assert grid_size(space) == len(expected)
    for index, point in enumerate(expected):
        made = grid_point(space, index)
        assert made == point
        assert [type(made[name]) for name in sorted(made)] == [
            type(point[name]) for name in sorted(point)
        ]
        assert list(made) == sorted(made)


@pytest.mark.parametrize(
    ("values", "typed"),
    [
        # All of the features, as a person who pastes GridSearchCV's grid means it.
        ([0.3, 0.5, 1.0], (0.3, 0.5, 1.0)),
        (["sqrt", 0.5, 1], ("sqrt", 0.5, 1.0)),
        # One of them, or it does not say.
        ([1, 2.0, 4], (1, 2, 4)),
        ([1.0, "sqrt"], (1, "sqrt")),
        ([0.5, 1, 2], (0.5, 1, 2)),
        ([0.5, {"int_value": 1}], (0.5, 1)),
        (["sqrt", {"float_value": 1.0}, 1], ("sqrt", 1.0, 1)),
    ],
)
def test_a_one_among_fractions_is_a_fraction(
    values: list[object], typed: tuple[Value, ...]
) -> None:
    space = parse_param_grid({"either": values}, _SCHEMAS, field="grid")
    assert repr(space.parameters[0].domain) == repr(Grid(values=typed))


def test_a_grid_of_a_million_million_points_is_not_built() -> None:
    space = SearchSpace.of(
        Parameter(name=f"p{place:02}", domain=Grid(values=tuple(range(10)))) for place in range(12)
    )
    assert grid_size(space) == 10**12
    assert list(grid_point(space, 123_456_789_012).values()) == [int(d) for d in "123456789012"]


@pytest.mark.parametrize("index", [-1, 4])
def test_there_is_no_point_outside_a_grid(index: int) -> None:
    with pytest.raises(IndexError):
        grid_point(_grid(a=(1, 2), b=(True, False)), index)


def test_an_infinite_space_has_no_size() -> None:
    space = SearchSpace.of([Parameter(name="a", domain=FloatRange(low=0.0, high=1.0))])
    with pytest.raises(ValueError, match="infinite"):
        grid_size(space)


def test_values_get_the_type_of_their_parameter() -> None:
    space = parse_param_grid(
        {
            "count": [5.0, 10, None],
            "share": [1, 0.5],
            "either": [2.0, 0.5, "sqrt"],
            "layers": [[50.0], [100, 50.0]],
            "flag": [True, False],
            "scale__with_mean": [True],
        },
        _SCHEMAS,
        field="grid",
    )
    typed = {each.name: each.domain for each in space.parameters}
    expected: dict[str, tuple[object, ...]] = {
        "count": (5, 10, None),
        "share": (1.0, 0.5),
        "either": (2, 0.5, "sqrt"),
        "layers": ((50,), (100, 50)),
        "flag": (True, False),
        "scale__with_mean": (True,),
    }
    for name, values in expected.items():
        domain = typed[name]
        assert isinstance(domain, Grid)
        assert repr(domain.values) == repr(values)


def _problems(grid: dict[str, object], **limits: int) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as raised:
        parse_param_grid(grid, _SCHEMAS, field="grid", **limits)
    return {each.field: each.description for each in raised.value.violations}


def test_everything_wrong_with_a_grid_is_told_at_once() -> None:
    problems = _problems(
        {
            "count": [5.0, 2.5, 0.0, True, "5", "None"],
            "share": [],
            "shar": [1.0],
            "either": [float("nan"), float("inf"), "log3"],
            "flag": [1.0, [True]],
            "layers": [[[1.0]], [0.0], [], 5.0],
            "scale__with_mean": True,
        }
    )
    assert set(problems) == {
        'grid["count"][1]',
        'grid["count"][2]',
        'grid["count"][3]',
        'grid["count"][4]',
        'grid["count"][5]',
        'grid["share"]',
        'grid["shar"]',
        'grid["either"][0]',
        'grid["either"][1]',
        'grid["either"][2]',
        'grid["flag"][0]',
        'grid["flag"][1]',
        'grid["layers"][0]',
        'grid["layers"][1]',
        'grid["layers"][2]',
        'grid["layers"][3]',
        'grid["scale__with_mean"]',
    }
    assert problems['grid["count"][1]'] == (
        "2.5 is not allowed; give a whole number from 1, or null"
    )
    assert problems['grid["count"][5]'].endswith("null is written without quotes")
    assert 'did you mean "share"?' in problems['grid["shar"]']
    assert "known: count, either, flag, layers, scale__with_mean, share" in problems['grid["shar"]']
    assert "not a finite number" in problems['grid["either"][0]']
    assert "no values" in problems['grid["share"]']
    assert "a list is not allowed" in problems['grid["flag"][1]']
    assert "nest one level only" in problems['grid["layers"][0]']
    assert "write [true]" in problems['grid["scale__with_mean"]']


def test_an_empty_grid_is_refused() -> None:
    assert "is empty" in _problems({})["grid"]


def test_values_that_become_the_same_repeat() -> None:
    problems = _problems({"count": [5.0, 10.0, 5], "share": [1, 1.0]})
    assert problems == {
        'grid["count"][2]': "5 repeats the value at [0]",
        'grid["share"][1]': "1 repeats the value at [0]",
    }


def test_a_grid_above_the_limit_is_refused_by_size() -> None:
    values = [float(each) for each in range(1, 1001)]
    problems = _problems({"count": values, "share": values, "either": values, "flag": [True]})
    assert problems["grid"].startswith("has 1,000,000,000 points, above the limit of 1,000,000;")
    assert _problems({"count": [1.0, 2.0]}, max_points=1)["grid"].startswith("has 2 points")


def test_every_refused_value_is_named_with_what_is_allowed() -> None:
    schemas = MODEL_TYPES["random_forest_classifier"].parameters
    with pytest.raises(InvalidRequest) as raised:
        parse_param_grid({"min_samples_split": [1.0]}, schemas, field="g")
    # 1.0 is a whole number, so a count, and one row cannot be split.
    assert raised.value.violations[0].description == (
        "1 is not allowed; give a whole number from 2, or a number above 0 up to 1"
    )


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=6,
)


@strategies.few
@given(st.dictionaries(st.sampled_from([*_SCHEMAS, "other"]), json_values, max_size=4))
def test_any_json_is_read_or_refused_by_path(grid: dict[str, object]) -> None:
    found = Violations()
    space = None
    with found.gathered():
        space = parse_param_grid(grid, _SCHEMAS, field="grid")
    if space is None:
        assert found
        assert all(each.field.startswith("grid") for each in found.found)
    else:
        assert set(space.names) == set(grid)


def test_beside_steps_points_come_in_the_order_of_a_pipelines_grid() -> None:
    lists: dict[str, tuple[Value, ...]] = {
        "weights": ("distance", "uniform"),
        "select_k_best__k": (2, 3),
        "C": (1, 10),
    }
    space = SearchSpace.of(
        Parameter(name=name, domain=Grid(values=values)) for name, values in lists.items()
    )
    named = {name if "__" in name else f"model__{name}": list(each) for name, each in lists.items()}
    expected = [
        {name.removeprefix("model__"): value for name, value in point.items()}
        for point in ParameterGrid(named)
    ]
    assert [dict(grid_point(space, index)) for index in range(grid_size(space))] == expected


def test_a_grid_of_very_many_names_is_refused_by_its_length() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_param_grid({f"p{n}": [1] for n in range(50_000)}, {}, field="param_grid")
    assert [each.field for each in caught.value.violations] == ["param_grid"]
    assert "50,000" in caught.value.violations[0].description


@strategies.few
@given(strategies.spaces(), st.integers(2, 6))
def test_a_grid_of_a_space_is_finite_and_inside_it(space: SearchSpace, resolution: int) -> None:
    grid = gridded(space, resolution)
    size = grid_size(grid)
    assert all(
        contains(space, grid_point(grid, place)) for place in {0, size - 1, size // 2, size // 3}
    )


def test_a_grid_takes_some_values_of_a_range_and_all_of_one_with_a_step() -> None:
    space = SearchSpace.of(
        [
            Parameter(name="a", domain=FloatRange(low=0.01, high=100.0, log=True)),
            Parameter(name="b", domain=FloatRange(low=0.0, high=1.0, step=0.1)),
            Parameter(name="c", domain=IntRange(low=1, high=100), specials=(None,)),
            Parameter(name="d", domain=IntRange(low=1, high=3)),
            Parameter(name="e", domain=IntRange(low=0, high=100, step=10)),
        ]
    )
    grid = {each.name: each for each in gridded(space, 5).parameters}
    assert grid["a"].domain == Grid(values=(0.01, 0.1, 1.0, 10.0, 100.0))
    assert parameter_size(grid["b"]) == 11
    assert grid["c"].domain == Grid(values=(1, 26, 51, 75, 100, None))
    assert parameter_size(grid["d"]) == 3
    assert parameter_size(grid["e"]) == 11

"""Preset spaces: valid for every model type, growing with their size, and the grids made of them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.counting import cardinality
from services.core.grid import grid_point, grid_size
from services.core.model_catalog import MODEL_TYPES
from services.core.parameter_schema import allows
from services.core.preset_size import EFFORTS, PresetSize
from services.core.space import (
    Choices,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    contains,
    is_member,
    parameter_contains,
)
from services.core.space_presets import preset_spreads
from services.core.spread import Spread, choose, exactly, floats, grid_of, ints, space_of

each_model = pytest.mark.parametrize("name", MODEL_TYPES)
each_size = pytest.mark.parametrize("size", PresetSize)


@each_model
@each_size
def test_a_preset_tries_only_what_the_model_type_takes(name: str, size: PresetSize) -> None:
    space = space_of(preset_spreads(name, size))
    assert space.parameters
    assert cardinality(space) != 1
    for parameter in space.parameters:
        schema = MODEL_TYPES[name].parameters[parameter.name]
        domain = parameter.domain
        values = (
            (domain.low, domain.high)
            if isinstance(domain, IntRange | FloatRange)
            else (domain.value,)
            if isinstance(domain, Fixed)
            else domain.values
        )
        for value in (*values, *parameter.specials):
            assert allows(schema, value), (parameter.name, value)


@each_model
def test_a_larger_preset_holds_the_ranges_of_the_smaller(name: str) -> None:
    for smaller, larger in itertools.pairwise(PresetSize):
        wide = preset_spreads(name, larger)
        for parameter, spread in preset_spreads(name, smaller).items():
            if isinstance(spread.domain, Fixed):
                # Rounds of boosting: a larger preset takes more of them, not also few.
                continue
            other = wide[parameter]
            if isinstance(other.domain, Fixed):
                continue
            assert set(spread.specials) <= set(other.specials)
            if isinstance(spread.domain, IntRange | FloatRange):
                assert isinstance(other.domain, type(spread.domain))
                assert other.domain.low <= spread.domain.low
                assert other.domain.high >= spread.domain.high
            else:
                assert isinstance(spread.domain, Choices)
                assert isinstance(other.domain, Choices)
                assert all(is_member(each, other.domain.values) for each in spread.domain.values)


def test_xgboosts_ranges_are_the_products() -> None:
    default = preset_spreads("xgboost_classifier", PresetSize.DEFAULT)
    assert default["learning_rate"] == floats(0.01, 0.2, log=True)
    assert default["max_depth"] == ints(4, 10)
    assert default["n_estimators"] == exactly(200)
    aggressive = preset_spreads("xgboost_regressor", PresetSize.AGGRESSIVE)
    assert aggressive["n_estimators"] == ints(100, 299)
    assert set(aggressive) - set(default) == {"colsample_bylevel", "gamma", "min_child_weight"}


@each_model
@each_size
def test_the_grid_of_a_preset_lies_inside_it_and_keeps_its_limit(
    name: str, size: PresetSize
) -> None:
    spreads = preset_spreads(name, size)
    space = space_of(spreads)
    for limit in (1, 5, 20, 50, 100):
        grid = grid_of(spreads, limit)
        assert grid_size(grid) <= limit
        assert contains(space, grid_point(grid, 0))
        assert contains(space, grid_point(grid, grid_size(grid) - 1))


def test_a_grid_tries_the_first_parameters_most_finely() -> None:
    spreads = {
        "rate": floats(0.01, 1.0, log=True),
        "depth": ints(2, 6, beside=[None]),
        "kind": choose("a", "b"),
        "rounds": exactly(20),
    }

    def values(limit: int) -> dict[str, tuple[object, ...]]:
        return {
            each.name: each.domain.values
            for each in grid_of(spreads, limit).parameters
            if isinstance(each.domain, Grid)
        }

    assert values(1) == {"rate": (0.1,), "depth": (4,), "kind": ("a",), "rounds": (20,)}
    assert values(6)["rate"] == (0.01, 1.0)
    assert values(6)["depth"] == (2, 6, None)
    assert values(6)["kind"] == ("a",)
    assert values(1000) == {
        "rate": (0.01, 0.1, 1.0),
        "depth": (2, 4, 6, None),
        "kind": ("a", "b"),
        "rounds": (20,),
    }


@given(
    spreads=st.dictionaries(
        st.sampled_from("abcdef"),
        st.one_of(
            st.builds(
                lambda low, more: ints(low, low + more), st.integers(1, 9), st.integers(0, 9)
            ),
            st.builds(lambda low, more: floats(low, low + more), st.floats(0, 9), st.floats(0, 9)),
            st.just(choose("x", "y", "z")),
            st.just(exactly(3)),
        ),
        min_size=1,
    ),
    limit=st.integers(1, 200),
)
def test_no_grid_is_larger_than_its_limit_and_none_leaves_its_space(
    spreads: dict[str, Spread], limit: int
) -> None:
    grid = grid_of(spreads, limit)
    assert grid_size(grid) <= limit
    for parameter in space_of(spreads).parameters:
        (chosen,) = [each for each in grid.parameters if each.name == parameter.name]
        assert isinstance(chosen.domain, Grid)
        assert all(parameter_contains(parameter, each) for each in chosen.domain.values)


@pytest.mark.parametrize(
    ("size", "trials", "seconds", "stages"),
    [
        (PresetSize.CONSERVATIVE, 5, 600.0, (2, 2, 1)),
        (PresetSize.DEFAULT, 50, 3600.0, (20, 15, 15)),
        (PresetSize.AGGRESSIVE, 100, 7200.0, (40, 30, 30)),
    ],
)
def test_efforts_are_the_products(
    size: PresetSize, trials: int, seconds: float, stages: tuple[int, int, int]
) -> None:
    effort = EFFORTS[size]
    assert (effort.trials, effort.seconds) == (trials, seconds)
    assert effort.stage_trials == stages
    assert sum(stages) == trials

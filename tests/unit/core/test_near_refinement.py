"""The space of a local stage: within a share of each range around the best trial."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.refinement import refine
from services.core.refinement_rules import NEAR, RULES
from services.core.sampling import generator, sample
from services.core.space import (
    Assignment,
    Choices,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    contains,
)
from services.core.trial import ranked
from tests.unit.core import strategies
from tests.unit.core.strategies import make_trial

SPACE = SearchSpace.of(
    [
        Parameter(name="C", domain=Grid(values=(0.01, 1.0, 100.0))),
        Parameter(name="depth", domain=IntRange(low=0, high=20), specials=(None,)),
        Parameter(name="kernel", domain=Choices(values=("rbf", "poly"))),
    ]
)


def test_ranges_reach_the_radius_on_their_scale_and_other_values_stay() -> None:
    best: Assignment = {"C": 1.0, "depth": 19, "kernel": "rbf"}
    other: Assignment = {"C": 100.0, "depth": 3, "kernel": "poly"}
    trials = [make_trial(0, other, 0.2), make_trial(1, best, 0.9)]
    made = refine(SPACE, SPACE, trials, 0.25, source_method="grid_search", rule=NEAR)
    cost, depth, kernel = made.parameters
    assert isinstance(cost.after.domain, FloatRange)
    assert (cost.after.domain.low, cost.after.domain.high) == pytest.approx((0.1, 10.0))
    assert (depth.after.domain, depth.after.specials) == (IntRange(low=14, high=20), (None,))
    assert kernel.after == SPACE.parameters[2]
    assert [each.rule for each in made.parameters] == ["narrowed", "narrowed", "unchanged"]
    assert depth.explanation == (
        "depth is searched within 25% of its range around 19, the value of trial 1, the best"
    )
    assert (made.rule, made.refinement_factor) == (NEAR, 0.25)


def test_a_range_whose_best_is_special_stays_whole_and_what_is_not_searched_is_held() -> None:
    best: Assignment = {"C": 1.0, "depth": None, "kernel": "poly"}
    part = SearchSpace.of(SPACE.parameters[1:2])
    made = refine(
        part, SPACE, [make_trial(4, best, 0.5)], 0.1, source_method="random_search", rule=NEAR
    )
    assert [(each.name, each.rule) for each in made.parameters] == [
        ("depth", "unchanged"),
        ("C", "held"),
        ("kernel", "held"),
    ]


@given(space=strategies.spaces(), seed=st.integers(0, 50), radius=st.floats(0.01, 1.0))
@settings(max_examples=20)
def test_the_box_holds_the_best_and_lies_in_the_space(
    space: SearchSpace, seed: int, radius: float
) -> None:
    trials = [
        make_trial(index, sample(space, generator(seed, index)), index / 10) for index in range(4)
    ]
    made = refine(space, space, trials, radius, source_method="random_search", rule=NEAR)
    assert contains(made.space_after, ranked(trials)[0].parameters)
    for index in range(10):
        point = sample(made.space_after, generator(seed, 100 + index))
        assert contains(made.space_before, point)
    assert {each.rule for each in made.parameters} <= set(RULES)

"""One space for the points of all stages of a plan, for a model to see."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.core.encoding import n_dims
from services.core.modelling import UNSET, ModelledSpace, held_values, modelling_space
from services.core.refinement import refine, with_held
from services.core.sampling import generator, sample
from services.core.space import (
    Assignment,
    Choices,
    Condition,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    SumToOne,
    Value,
    contains,
)
from services.core.trial import Trial, TrialState

C = Parameter(name="C", domain=FloatRange(low=0.0, high=10.0))
DEPTH = Parameter(name="depth", domain=IntRange(low=2, high=8), specials=(None,))
KERNEL = Parameter(name="kernel", domain=Choices(values=("rbf", "linear")))
GAMMA = Parameter(
    name="gamma",
    domain=FloatRange(low=0.0, high=1.0),
    conditions=(Condition(parent="kernel", values=("rbf",)),),
)
FIRST = Parameter(name="first", domain=FloatRange(low=0.0, high=1.0))
SECOND = Parameter(name="second", domain=FloatRange(low=0.0, high=1.0))
# What a condition or a constraint binds a stage searches together, or not at all.
PARTS: list[list[Parameter]] = [[C], [DEPTH], [KERNEL, GAMMA], [FIRST, SECOND]]
SUM = SumToOne(names=("first", "second"))


def space_of(parts: list[int]) -> SearchSpace:
    return SearchSpace.of(
        [each for part in parts for each in PARTS[part]], [SUM] if 3 in parts else []
    )


def trial(number: int, point: Assignment, stage: int, score: float) -> Trial:
    return Trial(
        orchestration_id="o",
        number=number,
        tuning_run_id="t",
        stage_index=stage,
        state=TrialState.SUCCEEDED,
        attempt=0,
        parameters=point,
        candidate_index=None,
        phase="random",
        suggestion_index=number,
        suggested_at_sequence=0,
        score=score,
    )


stage_parts = st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True)


@given(
    st.lists(stage_parts, min_size=1, max_size=4),
    st.sampled_from([None, 0.3]),
    st.integers(0, 10_000),
)
def test_a_model_sees_every_point_of_a_plan_and_the_bounds_of_its_last_stage(
    stages: list[list[int]], factor: float | None, seed: int
) -> None:
    rng = generator(seed, 0)
    known: list[Trial] = []
    before: list[tuple[SearchSpace, SearchSpace]] = []
    for index, parts in enumerate(stages):
        original = space_of(parts)
        space = original
        if before:
            space = refine(
                original, before[-1][1], known, factor, source_method="random_search"
            ).space_after
        model = ModelledSpace(modelling_space(original, space, before))
        points = [each.parameters for each in known]
        points += [sample(space, rng), sample(with_held(original, space), rng)]
        assert all(model.contains(each) for each in points)
        assert all(model.sets(each, space) for each in points[-2:])
        rows = model.rows(points)
        assert rows.shape == (len(points), model.n_dims)
        assert rows.min(initial=0.0) >= 0.0
        assert rows.max(initial=1.0) <= 1.0
        for _ in range(4):
            known.append(trial(len(known), sample(space, rng), index, float(rng.random())))
        before.append((original, space))


def test_where_all_stages_search_the_same_it_is_the_space_as_it_was_asked_for() -> None:
    both = SearchSpace.of([C, DEPTH])
    narrow = SearchSpace.of(
        [Parameter(name="C", domain=FloatRange(low=1.0, high=2.0)), DEPTH],
    )
    assert modelling_space(both, narrow, [(both, both)]) is both
    assert modelling_space(both, both, []) is both


def test_what_is_held_is_an_input_with_the_range_it_was_searched_in() -> None:
    both, only_c = SearchSpace.of([C, DEPTH]), SearchSpace.of([C])
    held = SearchSpace.of([C, Parameter(name="depth", domain=Fixed(value=4))])
    assert modelling_space(only_c, held, [(both, both)]) == both
    model = ModelledSpace(both)
    near, far = model.rows([{"C": 5.0, "depth": 4}, {"C": 5.0, "depth": 8}])
    assert near.tolist() != far.tolist()


def test_what_some_stage_left_as_the_model_has_it_is_a_value_of_its_own() -> None:
    only_c, only_depth = SearchSpace.of([C]), SearchSpace.of([DEPTH])
    held = SearchSpace.of([Parameter(name="C", domain=Fixed(value=2.0)), DEPTH])
    seen = modelling_space(only_depth, held, [(only_c, only_c)])
    assert {each.name: each.specials for each in seen.parameters} == {
        "C": (),
        "depth": (None, UNSET),
    }
    model = ModelledSpace(seen)
    assert model.seen({"C": 2.0}) == {"C": 2.0, "depth": UNSET}
    assert model.n_dims == n_dims(SearchSpace.of([C, DEPTH])) + 1
    assert not model.sets({"C": 2.0}, held)
    assert model.sets({"C": 2.0}, only_c)


def test_points_with_values_no_stage_had_are_no_evidence() -> None:
    both = SearchSpace.of([C, DEPTH])
    model = ModelledSpace(both)
    assert not model.contains({"C": 50.0, "depth": 4})
    assert not model.contains({"other": 1})
    assert not model.contains({"C": 1.0})


def test_a_range_is_seen_whole_where_another_stage_tried_a_grid_of_it() -> None:
    grid = SearchSpace.of([Parameter(name="C", domain=Grid(values=(1.0, 5.0))), DEPTH])
    both, only_depth = SearchSpace.of([C, DEPTH]), SearchSpace.of([DEPTH])
    held = SearchSpace.of([Parameter(name="C", domain=Fixed(value=5.0)), DEPTH])
    for before in ([(grid, grid), (both, both)], [(both, both), (grid, grid)]):
        assert modelling_space(only_depth, held, before).parameters[0] == C


def test_alternatives_are_searched_whole_and_seen_so() -> None:
    either = SearchSpace.of_alternatives([SearchSpace.of([C]), SearchSpace.of([DEPTH])])
    assert modelling_space(either, either, [(either, either)]) is either


@given(st.sampled_from([0.5, "auto", None, 3]))
def test_every_kind_of_parameter_may_be_left_as_the_model_has_it(value: Value) -> None:
    both = SearchSpace.of([C, Parameter(name="other", domain=Fixed(value=value))])
    grid = SearchSpace.of([C, Parameter(name="listed", domain=Grid(values=(1, value)))])
    chosen = SearchSpace.of([C, KERNEL])
    only_c = SearchSpace.of([C])
    model = ModelledSpace(
        modelling_space(only_c, only_c, [(each, each) for each in (both, grid, chosen)])
    )
    points: list[Assignment] = [
        {"C": 1.0},
        {"C": 1.0, "other": value},
        {"C": 1.0, "listed": 1},
        {"C": 1.0, "kernel": "rbf"},
    ]
    assert all(model.contains(each) for each in points)
    assert len(np.unique(model.rows(points), axis=0)) == len(points)


def test_what_has_one_value_is_held_whoever_held_it() -> None:
    held = Parameter(name="depth", domain=Fixed(value=None))
    space = SearchSpace.of([C, held, KERNEL, GAMMA])
    assert held_values(space) == {"depth": None}
    assert contains(space, {"C": 1.0, "kernel": "linear", **held_values(space)})

"""Stages that search some parameters: the others are held at the best trial's values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.core.refinement import refine, with_held
from services.core.refinement_rules import HELD, NO_REFINEMENT
from services.core.space import Fixed, FloatRange, Grid, Parameter, SearchSpace, Value, contains
from services.core.trial import Trial, TrialState

C = Parameter(name="C", domain=FloatRange(low=0.0, high=10.0))
GAMMA = Parameter(name="gamma", domain=FloatRange(low=0.0, high=1.0))
BOTH = SearchSpace.of([C, GAMMA])
ONLY_C = SearchSpace.of([C])


def trials(points: list[dict[str, Value]]) -> list[Trial]:
    """Trials with falling scores, so the first point is the best."""
    return [
        Trial(
            orchestration_id="o",
            number=number,
            tuning_run_id="t",
            stage_index=0,
            state=TrialState.SUCCEEDED,
            attempt=0,
            parameters=point,
            candidate_index=None,
            phase="random",
            suggestion_index=number,
            suggested_at_sequence=0,
            score=1.0 - number / 1000,
        )
        for number, point in enumerate(points)
    ]


places = st.tuples(
    st.integers(0, 100).map(lambda each: each / 10),
    st.integers(0, 100).map(lambda each: each / 100),
)


@given(st.lists(places, min_size=1, max_size=25), st.sampled_from([None, 0.1, 0.5, 1.0]))
def test_what_is_not_searched_has_the_best_value_and_no_other(
    values: list[tuple[float, float]], factor: float | None
) -> None:
    known = trials([{"C": c, "gamma": gamma} for c, gamma in values])
    made = refine(ONLY_C, BOTH, known, factor, source_method="random_search")
    assert made.space_after.names == ("C", "gamma")
    held = made.space_after.parameters[1]
    assert held.domain == Fixed(value=values[0][1])
    assert contains(made.space_after, known[0].parameters)
    assert with_held(ONLY_C, made.space_after) == SearchSpace.of([C, held])


def test_the_record_says_what_is_held_and_why() -> None:
    known = trials([{"C": 2.0, "gamma": 0.25}, {"C": 3.0, "gamma": 0.5}])
    made = refine(ONLY_C, BOTH, known, None, source_method="random_search")
    searched, held = made.parameters
    assert (made.rule, made.refinement_factor) == (NO_REFINEMENT, 0.0)
    assert (searched.before, searched.after) == (C, C)
    assert (held.before, held.rule) == (GAMMA, HELD)
    assert held.explanation == "gamma is held at 0.25, as in trial 0, the best"
    assert made.summary.endswith("Held: gamma at 0.25.")


def test_without_a_factor_a_grid_keeps_its_values() -> None:
    grid = SearchSpace.of([Parameter(name="C", domain=Grid(values=(1.0, 5.0)))])
    known = trials([{"C": 2.0, "gamma": 0.25}])
    made = refine(grid, BOTH, known, None, source_method="random_search")
    assert made.space_after.parameters[0] == grid.parameters[0]


def test_a_parameter_nothing_was_tried_of_keeps_its_range() -> None:
    known = trials([{"gamma": 0.25}, {"gamma": 0.5}])
    made = refine(ONLY_C, SearchSpace.of([GAMMA]), known, 0.3, source_method="random_search")
    assert made.space_after.parameters[0] == C


def test_what_was_held_is_searched_again_around_its_value() -> None:
    current = SearchSpace.of([C, Parameter(name="gamma", domain=Fixed(value=0.25))])
    known = trials([{"C": 2.0 + place / 10, "gamma": 0.25} for place in range(40)])
    made = refine(BOTH, current, known, 0.3, source_method="random_search")
    gamma = made.space_after.parameters[1].domain
    assert isinstance(gamma, FloatRange)
    assert 0.0 < gamma.low < 0.25 < gamma.high < 1.0

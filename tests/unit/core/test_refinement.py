from __future__ import annotations

import math

import pytest

from services.core.grid import grid_point, grid_size
from services.core.refinement import Refinement, refine, top_set
from services.core.space import (
    Assignment,
    Choices,
    Domain,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
    Value,
)
from services.core.trial import Trial, TrialState
from tests.unit.core.strategies import make_trial


def _space(name: str, domain: Domain, *specials: Value) -> SearchSpace:
    return SearchSpace.of([Parameter(name=name, domain=domain, specials=specials)])


def _scored(name: str, *scored: tuple[Value, float | None]) -> list[Trial]:
    return [
        make_trial(number, {name: value}, score, candidate=number)
        for number, (value, score) in enumerate(scored)
    ]


def _only(refinement: Refinement) -> tuple[str, Domain, tuple[Value, ...], str]:
    (one,) = refinement.parameters
    return one.rule, one.after.domain, one.after.specials, one.explanation


# --- After a grid stage -------------------------------------------------------------------------


def test_after_a_grid_a_range_reaches_the_next_tried_value_on_each_side() -> None:
    space = _space("a", Grid(values=(0, 10, 20, 30, 40)))
    trials = _scored("a", (0, 0.1), (10, 0.5), (20, 0.9), (30, 0.6), (40, 0.2))
    # Top three 20, 30, 10: spread 20 × 0.3 = 6, less than the 10 to the next values.
    refinement = refine(space, space, trials, 0.3, source_method="grid_search")
    assert _only(refinement)[:2] == ("narrowed", IntRange(low=10, high=30))
    assert refinement.evidence_trial_numbers == (2, 3, 1)
    assert refinement.best_trial_number == 2
    assert _only(refinement)[3] == "a narrowed from 0–40 to 10–30 around 20 (best of trial 2)"


def test_a_wide_spread_reaches_further_than_the_next_value() -> None:
    space = _space("a", Grid(values=(0, 10, 20, 30, 40, 50, 60)))
    trials = _scored(
        "a", (0, 0.8), (10, 0.1), (20, 0.1), (30, 0.9), (40, 0.1), (50, 0.1), (60, 0.7)
    )
    # Top three 30, 0, 60: spread 60 × 0.4 = 24 on either side.
    refinement = refine(space, space, trials, 0.4, source_method="grid_search")
    assert _only(refinement)[1] == IntRange(low=6, high=54)


def test_sides_differ_when_the_grid_is_uneven() -> None:
    space = _space("a", Grid(values=(1, 2, 4, 9)))
    trials = _scored("a", (1, 0.1), (2, 0.5), (4, 0.9), (9, 0.4))
    # Spread of 4, 2, 9 is 7 × 0.1 = 0.7: below reaches 2, above 9.
    refinement = refine(space, space, trials, 0.1, source_method="grid_search")
    assert _only(refinement)[1] == IntRange(low=2, high=9)


def test_values_that_failed_count_as_tried() -> None:
    space = _space("a", Grid(values=(0, 10, 20, 30)))
    trials = _scored("a", (0, 0.5), (10, 0.9), (20, None), (30, 0.5))
    refinement = refine(space, space, trials, 0.1, source_method="grid_search")
    # Top three 10, 0, 30 spread 30 × 0.1 = 3.
    assert _only(refinement)[1] == IntRange(low=0, high=20)


def test_a_logarithmic_range_is_narrowed_on_its_scale() -> None:
    space = _space("C", Grid(values=(0.01, 0.1, 1.0, 10.0, 100.0)))
    trials = _scored("C", (0.01, 0.1), (0.1, 0.2), (1.0, 0.8), (10.0, 0.9), (100.0, 0.7))
    # Top 10, 1, 100: two decades × 0.25 = half a decade, less than the decade to the next value.
    domain = _only(refine(space, space, trials, 0.25, source_method="grid_search"))[1]
    assert isinstance(domain, FloatRange)
    assert domain.log
    assert domain.low == pytest.approx(1.0)
    assert domain.high == 100.0


def test_a_best_on_the_edge_of_the_original_stays_inside_it() -> None:
    space = _space("a", Grid(values=(1, 2, 3, 4)))
    trials = _scored("a", (1, 0.9), (2, 0.5), (3, 0.2), (4, 0.1))
    # Spread of 1, 2, 3 is 2 × 0.5 = 1.
    refinement = refine(space, space, trials, 0.5, source_method="grid_search")
    assert _only(refinement)[1] == IntRange(low=1, high=2)


def test_a_smaller_factor_narrows_more() -> None:
    space = _space("a", FloatRange(low=0.0, high=100.0))
    trials = [
        make_trial(number, {"a": float(number)}, -abs(number - 50) - (number > 50) / 2)
        for number in range(0, 101, 5)
    ]
    widths = []
    for factor in (1.0, 0.6, 0.3):
        domain = _only(refine(space, space, trials, factor, source_method="random_search"))[1]
        assert isinstance(domain, FloatRange)
        widths.append(domain.high - domain.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > widths[-1]


# --- After a random stage -----------------------------------------------------------------------


def test_after_a_random_stage_a_range_reaches_the_gap_between_random_points() -> None:
    space = SearchSpace.of(
        [
            Parameter(name="a", domain=FloatRange(low=0.0, high=100.0)),
            Parameter(name="b", domain=FloatRange(low=0.0, high=1.0)),
            Parameter(name="c", domain=Fixed(value=1)),
        ]
    )
    trials = [
        make_trial(number, {"a": 40.0 + number / 100, "b": 0.5, "c": 1}, 1.0 - number)
        for number in range(25)
    ]
    refinement = refine(space, space, trials, 0.3, source_method="random_search")
    # 25 trials in two searched dimensions: 100 / (2 · 25^(1/2)) = 10, above 0.3 × 0.02.
    ranges = {each.name: each.after.domain for each in refinement.parameters}
    assert ranges["a"] == FloatRange(low=30.0, high=50.0)
    assert ranges["b"] == FloatRange(low=0.4, high=0.6)
    assert ranges["c"] == Fixed(value=1)


def test_a_lattice_stays_anchored_at_the_original_low_and_rounds_outward() -> None:
    space = _space("a", IntRange(low=3, high=103, step=10))
    trials = [make_trial(number, {"a": 43}, 1.0) for number in range(25)]
    # One dimension, 25 trials: 100 / 50 = 2, so 41 to 45, outward to 33 and 53.
    refinement = refine(space, space, trials, 0.3, source_method="random_search")
    assert _only(refinement)[1] == IntRange(low=33, high=53, step=10)
    fractions = _space("a", FloatRange(low=0.5, high=2.5, step=0.5))
    trials = [make_trial(number, {"a": 1.5}, 1.0) for number in range(25)]
    refinement = refine(fractions, fractions, trials, 0.3, source_method="random_search")
    assert _only(refinement)[1] == FloatRange(low=1.0, high=2.0, step=0.5)


def test_a_best_at_the_edge_of_a_narrowed_range_widens_it_there() -> None:
    original = _space("a", FloatRange(low=0.0, high=100.0))
    current = _space("a", FloatRange(low=40.0, high=60.0))
    trials = [make_trial(number, {"a": 40.5 + number / 10}, -number) for number in range(100)]
    refinement = refine(original, current, trials, 0.3, source_method="random_search")
    # 40.5 lies within 1 (5 % of 20) of the edge at 40: 20 further down. Above, the spread of the
    # top ten is 0.9 × 0.3 = 0.27, less than the gap 100 / 200 = 0.5.
    assert _only(refinement)[:2] == ("widened", FloatRange(low=20.0, high=41.0))
    assert "moved from 40–60 to 20–41" in _only(refinement)[3]


def test_a_best_away_from_the_edge_does_not_widen() -> None:
    original = _space("a", FloatRange(low=0.0, high=100.0))
    current = _space("a", FloatRange(low=40.0, high=60.0))
    trials = [make_trial(number, {"a": 41.5 + number / 10}, -number) for number in range(100)]
    refinement = refine(original, current, trials, 0.3, source_method="random_search")
    assert _only(refinement)[:2] == ("narrowed", FloatRange(low=41.0, high=42.0))


def test_widening_never_passes_the_original() -> None:
    original = _space("a", FloatRange(low=0.0, high=100.0))
    current = _space("a", FloatRange(low=10.0, high=90.0))
    trials = [make_trial(number, {"a": 89.9}, 1.0) for number in range(20)]
    refinement = refine(original, current, trials, 0.3, source_method="random_search")
    domain = _only(refinement)[1]
    assert isinstance(domain, FloatRange)
    assert domain.high == 100.0


def test_an_edge_of_the_original_does_not_widen() -> None:
    space = _space("a", FloatRange(low=0.0, high=100.0))
    trials = [make_trial(number, {"a": 0.5}, 1.0) for number in range(50)]
    refinement = refine(space, space, trials, 0.3, source_method="random_search")
    assert _only(refinement)[:2] == ("narrowed", FloatRange(low=0.0, high=1.5))


# --- Values that are no numbers -----------------------------------------------------------------


def test_categories_of_the_top_set_stay() -> None:
    space = _space("kernel", Grid(values=("poly", "rbf", "linear", "sigmoid")))
    trials = _scored("kernel", ("poly", 0.1), ("rbf", 0.9), ("linear", 0.8), ("sigmoid", 0.7))
    refinement = refine(space, space, trials, 0.3, source_method="grid_search")
    rule, domain, _, explanation = _only(refinement)
    assert (rule, domain) == ("kept_values", Choices(values=("rbf", "linear", "sigmoid")))
    assert explanation == (
        'kernel keeps "rbf", "linear" and "sigmoid"; "poly" goes: it is not in the top 3'
    )


def test_a_special_in_the_top_set_stays_beside_its_range() -> None:
    space = _space("max_depth", Grid(values=(5, 10, 20, None)))
    trials = _scored("max_depth", (5, 0.1), (10, 0.9), (20, 0.5), (None, 0.8))
    refinement = refine(space, space, trials, 0.3, source_method="grid_search")
    rule, domain, specials, explanation = _only(refinement)
    # Numbers of the top set: 10, 20; spread 10 × 0.3 = 3; the next values are 5 and 20.
    assert (rule, domain, specials) == ("unchanged", IntRange(low=5, high=20), (None,))
    assert "max_depth stays 5–20 or null" in explanation


def test_the_range_centres_on_the_best_number_when_a_special_is_best() -> None:
    space = _space("max_depth", Grid(values=(5, 10, 20, 40, 80, None)))
    trials = _scored("max_depth", (5, 0.1), (10, 0.2), (20, 0.8), (40, 0.7), (80, 0.3), (None, 0.9))
    refinement = refine(space, space, trials, 0.3, source_method="grid_search")
    rule, domain, specials, explanation = _only(refinement)
    assert (rule, domain, specials) == ("narrowed", IntRange(low=10, high=40, log=True), (None,))
    assert explanation == (
        "max_depth narrowed from 5–80 to 10–40 around 20 (best number, of trial 2); "
        "null stays: it is in the top 3"
    )


def test_a_special_out_of_the_top_set_goes() -> None:
    space = _space("max_depth", Grid(values=(5, 10, 20, 40, None)))
    trials = _scored("max_depth", (5, 0.9), (10, 0.8), (20, 0.7), (40, 0.1), (None, 0.2))
    refinement = refine(space, space, trials, 0.3, source_method="grid_search")
    assert _only(refinement)[1:3] == (IntRange(low=5, high=10), ())
    assert "null goes: it is not in the top 3" in _only(refinement)[3]


def test_a_range_without_a_number_in_the_top_set_is_dropped_and_said_so() -> None:
    space = SearchSpace.of(
        [
            Parameter(name="f", domain=Grid(values=(1, 2, "sqrt", None))),
            Parameter(name="g", domain=Grid(values=("x", "y"))),
        ]
    )
    points = [grid_point(space, index) for index in range(grid_size(space))]
    trials = [
        make_trial(number, point, float(isinstance(point["f"], str | None)) - number / 100)
        for number, point in enumerate(points)
    ]
    refinement = refine(space, space, trials, 0.3, source_method="grid_search")
    first = refinement.parameters[0]
    assert first.rule == "dropped_range"
    assert first.after == Parameter(name="f", domain=Choices(values=("sqrt", None)))
    assert first.explanation == 'f keeps "sqrt" and null only: none of 1–2 is in the top 3'
    # Numbers that do well again bring the range back.
    trials += [
        make_trial(8 + place, {"f": 2, "g": "x"}, 9.0 - place, stage=1) for place in range(3)
    ]
    back = refine(space, refinement.space_after, trials, 0.3, source_method="random_search")
    assert back.parameters[0].rule == "widened"
    assert isinstance(back.parameters[0].after.domain, IntRange)


def test_counts_and_fractions_are_categories() -> None:
    space = _space("max_features", Grid(values=(2, 0.5, 0.9, "sqrt")))
    trials = _scored("max_features", (2, 0.9), (0.5, 0.8), (0.9, 0.7), ("sqrt", 0.1))
    domain = _only(refine(space, space, trials, 0.3, source_method="grid_search"))[1]
    assert domain == Choices(values=(2, 0.5, 0.9))


def test_a_fixed_parameter_stays() -> None:
    space = _space("a", Fixed(value=3))
    rule, domain, _, explanation = _only(
        refine(space, space, _scored("a", (3, 0.5)), 0.3, source_method="random_search")
    )
    assert (rule, domain) == ("unchanged", Fixed(value=3))
    assert explanation == "a stays 3, its only value"


# --- The top set --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "expected"), [(1, 1), (2, 2), (3, 3), (27, 3), (31, 4), (45, 5), (100, 10), (500, 10)]
)
def test_the_top_set_is_a_tenth_within_limits(count: int, expected: int) -> None:
    trials = [make_trial(number, {}, -float(number)) for number in range(count)]
    assert [each.number for each in top_set(trials, searched=len(trials))] == list(range(expected))


def test_ties_with_the_last_of_the_top_set_belong_to_it() -> None:
    scores = [0.9, 0.8, 0.7, 0.7, 0.7, 0.6]
    trials = [make_trial(number, {}, score) for number, score in enumerate(scores)]
    assert [each.number for each in top_set(trials, searched=len(trials))] == [0, 1, 2, 3, 4]


def test_only_successes_are_evidence() -> None:
    space = _space("a", IntRange(low=0, high=1000))
    trials = [
        make_trial(0, {"a": 500}, 0.5),
        make_trial(1, {"a": 0}, None),
        make_trial(2, {"a": 0}, None, state=TrialState.PRUNED),
        make_trial(3, {"a": 0}, None, state=TrialState.RUNNING),
        make_trial(4, {"a": 501}, 0.4),
    ]
    refinement = refine(space, space, trials, 0.3, source_method="random_search")
    assert refinement.evidence_trial_numbers == (0, 4)
    assert refinement.best_trial_number == 0


def test_without_a_success_there_is_nothing_to_refine_on() -> None:
    space = _space("a", IntRange(low=0, high=10))
    with pytest.raises(ValueError, match="SUCCEEDED"):
        refine(space, space, _scored("a", (1, None)), 0.3, source_method="random_search")


@pytest.mark.parametrize("factor", [0.0, -0.1, 1.1, math.nan])
def test_factors_outside_their_range_are_refused(factor: float) -> None:
    space = _space("a", IntRange(low=0, high=10))
    with pytest.raises(ValueError, match="factor"):
        refine(space, space, _scored("a", (1, 0.5)), factor, source_method="random_search")


def test_one_trial_leaves_the_range_as_it_is() -> None:
    space = _space("a", Grid(values=(1, 2, 3)))
    refinement = refine(space, space, _scored("a", (2, 0.5)), 0.3, source_method="grid_search")
    assert _only(refinement)[:2] == ("unchanged", IntRange(low=1, high=3))


def test_equal_scores_centre_on_the_first_candidate() -> None:
    space = _space("a", Grid(values=(0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)))
    trials = _scored("a", *[(each, 0.5) for each in range(0, 101, 10)])
    refinement = refine(space, space, trials, 0.3, source_method="grid_search")
    # All eleven are in the top set: spread 100 × 0.3 = 30 above the first.
    assert _only(refinement)[1] == IntRange(low=0, high=30)
    assert len(refinement.evidence_trial_numbers) == 11


# --- What always holds --------------------------------------------------------------------------


def test_a_space_that_came_down_to_one_point_takes_the_next_best() -> None:
    space = SearchSpace.of(
        [
            Parameter(name="a", domain=Choices(values=("x", "y", "z"))),
            Parameter(name="b", domain=Choices(values=(True, False))),
        ]
    )
    best: Assignment = {"a": "y", "b": True}
    trials = [make_trial(number, best, 0.9) for number in range(3)]
    trials += [
        make_trial(3, {"a": "z", "b": True}, 0.5),
        make_trial(4, {"a": "x", "b": False}, 0.4),
    ]
    refinement = refine(space, space, trials, 0.3, source_method="random_search")
    assert refinement.space_after.parameters[0].domain == Choices(values=("y", "z"))
    assert refinement.space_after.parameters[1].domain == Choices(values=(True,))
    alone = refine(space, space, trials[:3], 0.3, source_method="random_search")
    assert alone.space_after.parameters[0].domain == Choices(values=("x", "y", "z"))
    assert alone.space_after.parameters[1].domain == Choices(values=(True,))


def test_a_range_is_not_dropped_when_nothing_else_would_be_left() -> None:
    space = _space("a", FloatRange(low=0.0, high=1.0), None)
    refinement = refine(
        space, space, [make_trial(0, {"a": None}, 0.5)], 0.3, source_method="random_search"
    )
    assert refinement.space_after == space
    assert _only(refinement)[0] == "unchanged"
    assert _only(refinement)[3] == "a stays 0–1 or null: the only success has no number"

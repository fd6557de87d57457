"""What searchers without a model promise beyond the contract of all of them (tests/contract/searchers)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import ParameterGrid

from services.coordinator.adapters.searchers.registry import make_searcher
from services.coordinator.ports import SearcherFailed
from services.core.digest import assignment_digest
from services.core.neighbourhood_box import box_around
from services.core.space import (
    Assignment,
    contains,
)
from tests.unit.coordinator.searching import (
    MIXED,
    NARROWED,
    SMALL_GRID,
    START,
    UNIT_SQUARE,
    search,
    smooth,
    task,
    trial,
)

# --- Grid ---


def test_a_grid_has_scikit_learns_order_and_ends() -> None:
    whole = search(task("grid_search", SMALL_GRID), lambda _: 0.5, trials=100, together=7)
    expected = ParameterGrid(
        {"C": [0.1, 1.0, 10.0], "kernel": ["rbf", "linear"], "max_depth": [5, 10, None]}
    )
    assert [dict(each.parameters) for each, _ in whole] == list(expected)
    assert [each.candidate_index for each, _ in whole] == [*range(18)]
    assert {each.phase for each, _ in whole} == {"grid"}


def test_a_shuffled_grid_has_every_point_once_under_its_own_candidate_index() -> None:
    plain = task("grid_search", SMALL_GRID)
    shuffled = replace(plain, shuffled=True)
    in_order = make_searcher(plain).ask(count=100, first_index=0, known=())
    mixed = make_searcher(shuffled).ask(count=100, first_index=0, known=())
    assert mixed != in_order
    assert sorted(mixed, key=lambda each: each.candidate_index or 0) == in_order
    # It goes on elsewhere where it stopped here.
    assert make_searcher(shuffled).ask(count=5, first_index=7, known=()) == mixed[7:12]


# --- Random ---


def test_random_search_exhausts_a_finite_space() -> None:
    whole = search(task("random_search", SMALL_GRID), lambda _: 0.5, trials=100, together=5)
    assert len(whole) == 18


def test_random_points_do_not_depend_on_results() -> None:
    subject = task("random_search", MIXED)
    good = [each for each, _ in search(subject, smooth, trials=20)]
    bad = [each for each, _ in search(subject, lambda _: None, trials=20, together=6)]
    assert good == bad


def test_a_refined_random_stage_looks_outside_in_a_fifth_of_its_points() -> None:
    whole = search(task("random_search", NARROWED, original=MIXED), smooth, trials=100)
    explored = [each for each, _ in whole if each.phase == "explore"]
    assert len(explored) == 20
    assert all(contains(NARROWED, each.parameters) for each, _ in whole if each.phase == "random")
    assert not all(contains(NARROWED, each.parameters) for each in explored)


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.5, 15), (1.0, 30)])
def test_a_random_stage_explores_with_the_share_it_was_asked_for(share: float, count: int) -> None:
    subject = task("random_search", NARROWED, original=MIXED, explore=share)
    phases = [each.phase for each, _ in search(subject, smooth, trials=30)]
    assert phases.count("explore") == count


def test_two_random_stages_of_a_plan_draw_other_points() -> None:
    first = search(task("random_search", MIXED), smooth, trials=5)
    second = search(task("random_search", MIXED, stage_index=1), smooth, trials=5)
    assert [each for each, _ in first] != [each for each, _ in second]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), together=st.integers(1, 9))
def test_random_search_over_lists_takes_every_point_once(seed: int, together: int) -> None:
    subject = task("random_search", SMALL_GRID, seed=seed)
    whole = search(subject, smooth, trials=40, together=together)
    assert len({assignment_digest(each.parameters) for each, _ in whole}) == 18


# --- Sobol ---


def test_sobol_points_fill_every_dimension_evenly() -> None:
    whole = search(task("sobol", UNIT_SQUARE), lambda _: 0.5, trials=16, together=16)
    for name in ("x", "y"):
        sixteenths = sorted(int(float(str(each.parameters[name])) * 16) for each, _ in whole)
        assert sixteenths == [*range(16)]


def test_sobol_points_do_not_depend_on_results_or_on_how_many_are_asked_for() -> None:
    subject = task("sobol", MIXED)
    good = [each for each, _ in search(subject, smooth, trials=20)]
    bad = [each for each, _ in search(subject, lambda _: None, trials=20, together=7)]
    assert good == bad


def test_sobol_with_another_seed_draws_other_points() -> None:
    first = search(task("sobol", MIXED), smooth, trials=4)
    second = search(task("sobol", MIXED, seed=43), smooth, trials=4)
    assert [each for each, _ in first] != [each for each, _ in second]


def test_a_refined_sobol_stage_looks_outside_in_a_fifth_of_its_points() -> None:
    whole = search(task("sobol", NARROWED, original=MIXED), smooth, trials=50)
    assert sum(each.phase == "explore" for each, _ in whole) == 10
    assert all(contains(NARROWED, each.parameters) for each, _ in whole if each.phase == "sobol")


# --- Points that are tried first ---


def test_the_baseline_comes_first_then_the_points_given_then_the_methods_own() -> None:
    subject = replace(task("random_search", MIXED), start=START)
    whole = search(subject, smooth, trials=5, together=5)
    assert [each.phase for each, _ in whole] == ["baseline", "given", "random", "random", "random"]
    assert [each.parameters for each, _ in whole[:2]] == [START.baseline, *START.points_to_try]
    # What comes after is what the method would have suggested there without them.
    alone = search(task("random_search", MIXED), smooth, trials=5)
    assert [each for each, _ in whole[2:]] == [each for each, _ in alone[2:]]


def test_a_point_that_an_earlier_stage_tried_is_not_tried_again() -> None:
    before = [trial(0, START.points_to_try[0], 0.5)]
    subject = replace(task("random_search", MIXED, stage_index=1), start=START)
    whole = search(subject, smooth, trials=3, before=before)
    assert [each.phase for each, _ in whole] == ["baseline", "random", "random"]


# --- Local ---

AROUND = box_around(MIXED, START.baseline or {}, 0.2)


def test_a_local_search_moves_one_parameter_at_a_time_and_then_several() -> None:
    subject = replace(task("local", AROUND), start=START)
    whole = search(subject, smooth, trials=20)
    assert [each.phase for each, _ in whole[:2]] == ["baseline", "given"]
    singles = [each.parameters for each, _ in whole if each.phase == "one_at_a_time"]
    # Both ends and both halves of two ranges, null, and two other kernels.
    assert len(singles) == 11
    assert START.baseline is not None
    assert all(sum(point[name] != START.baseline[name] for name in point) == 1 for point in singles)
    assert [each.phase for each, _ in whole[13:]] == ["joint"] * 7


def test_joint_moves_of_a_local_search_follow_the_best_trial() -> None:
    subject = replace(task("local", AROUND), start=START)
    start = [ended for _, ended in search(subject, lambda _: 0.1, trials=13)]
    peak: Assignment = {"C": 3.9, "kernel": "linear", "max_depth": 18}
    known = [*start, trial(13, peak, 0.9)]
    asked = make_searcher(subject).ask(count=1, first_index=15, known=known)
    assert any(asked[0].parameters[name] == peak[name] for name in peak)


def test_a_local_search_without_a_baseline_cannot_begin() -> None:
    with pytest.raises(SearcherFailed, match="no baseline"):
        make_searcher(task("local", MIXED)).ask(count=1, first_index=0, known=[])


def test_a_later_local_search_moves_around_the_best_before_it_whatever_it_finds_itself() -> None:
    best: Assignment = {"C": 3.0, "kernel": "linear", "max_depth": 12}
    before = [
        trial(0, best, 0.9),
        trial(1, {**best, "kernel": "rbf"}, 0.8),
        # Better, but not in the box.
        trial(2, {**best, "C": 100.0}, 0.95),
    ]
    subject = task("local", box_around(MIXED, best, 0.1), original=MIXED, stage_index=1)
    whole = search(subject, lambda _: 0.99, trials=11, before=before)
    singles = [each.parameters for each, _ in whole if each.phase == "one_at_a_time"]
    # As around a baseline, but for what was tried already: the best itself, and it with another kernel.
    assert len(singles) == 10
    assert all(sum(point[name] != best[name] for name in point) == 1 for point in singles)
    assert whole[10][0].phase == "joint"

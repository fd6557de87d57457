"""What each searcher promises beyond the contract of all of them (tests/contract/searchers)."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import ParameterGrid

from services.coordinator.adapters.searchers.registry import make_searcher
from services.coordinator.adapters.searchers.skopt_engine import told_history
from services.coordinator.adapters.searchers.tpe import capped_history
from services.coordinator.ports import SearcherFailed
from services.core.digest import assignment_digest
from services.core.modelling import modelling_space
from services.core.neighbourhood_box import box_around
from services.core.plan import MODEL_BASED_METHODS
from services.core.space import (
    Assignment,
    Choices,
    Fixed,
    FloatRange,
    Parameter,
    SearchSpace,
    contains,
)
from services.core.start_points import StartPoints
from services.core.trial import SplitScores, TrialState
from tests.unit.coordinator.searching import (
    MIXED,
    NARROWED,
    SMALL_GRID,
    search,
    smooth,
    task,
    trial,
)

UNIT_SQUARE = SearchSpace.of(
    Parameter(name=name, domain=FloatRange(low=0.0, high=1.0)) for name in ("x", "y")
)
FIXED = SearchSpace.of([Parameter(name="C", domain=Fixed(value=1.0))])


def _hill(point: Assignment) -> float:
    """Highest at (0.3, 0.7)."""
    return -sum((float(str(point[name])) - at) ** 2 for name, at in (("x", 0.3), ("y", 0.7)))


# --- Stages that hold parameters ---

SQUARE_BUT_Y = SearchSpace.of(
    [
        Parameter(name="x", domain=FloatRange(low=0.0, high=1.0)),
        Parameter(name="y", domain=Fixed(value=0.6)),
    ]
)


@pytest.mark.parametrize("method", ["bayesian", "tpe"])
def test_a_stage_that_holds_a_parameter_learns_from_trials_with_other_values_of_it(
    method: str,
) -> None:
    before = [ended for _, ended in search(task("sobol", UNIT_SQUARE), _hill, trials=16)]
    subject = task(method, SQUARE_BUT_Y, stage_index=1)
    subject = replace(subject, modelling_space=UNIT_SQUARE)
    found = search(subject, _hill, trials=6, before=before)
    assert [each.phase for each, _ in found] == ["model"] * 6
    assert {each.parameters["y"] for each, _ in found} == {0.6}
    # Of fewer than five results it makes no model.
    (first,) = search(subject, _hill, trials=1, before=before[:4])
    assert first[0].phase == "startup"


def test_what_no_stage_has_searched_yet_begins_with_start_up_points() -> None:
    only_x, only_y = (
        SearchSpace.of(each for each in UNIT_SQUARE.parameters if each.name == name)
        for name in ("x", "y")
    )

    def objective(point: Assignment) -> float:
        return _hill({"x": 0.5, "y": 0.5, **point})

    before = [ended for _, ended in search(task("sobol", only_x), objective, trials=9)]
    best = max(before, key=lambda each: each.score or 0.0)
    held = SearchSpace.of(
        [*only_y.parameters, Parameter(name="x", domain=Fixed(value=best.parameters["x"]))]
    )
    subject = replace(
        task("bayesian", held, stage_index=1),
        modelling_space=modelling_space(only_y, held, [(only_x, only_x)]),
    )
    found = search(subject, objective, trials=8, before=before)
    assert [each.phase for each, _ in found] == ["startup"] * 5 + ["model"] * 3
    assert len({each.parameters["y"] for each, _ in found}) == 8


# --- Grid ---


def test_a_grid_has_scikit_learns_order_and_ends() -> None:
    whole = search(task("grid_search", SMALL_GRID), lambda _: 0.5, trials=100, together=7)
    expected = ParameterGrid(
        {"C": [0.1, 1.0, 10.0], "kernel": ["rbf", "linear"], "max_depth": [5, 10, None]}
    )
    assert [dict(each.parameters) for each, _ in whole] == list(expected)
    assert [each.candidate_index for each, _ in whole] == [*range(18)]
    assert {each.phase for each, _ in whole} == {"grid"}


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


# --- Bayesian ---


def test_bayesian_search_starts_spread_and_then_models() -> None:
    whole = search(task("bayesian", MIXED), smooth, trials=8)
    assert [each.phase for each, _ in whole] == ["startup"] * 5 + ["model"] * 3


def test_trials_of_earlier_stages_make_a_start_up_needless() -> None:
    before = [ended for _, ended in search(task("random_search", MIXED), smooth, trials=8)]
    (first,) = make_searcher(task("bayesian", NARROWED, original=MIXED, stage_index=2)).ask(
        count=1, first_index=0, known=before
    )
    assert first.phase == "model"
    assert contains(NARROWED, first.parameters)


def test_a_refined_bayesian_stage_looks_outside_with_every_third_point() -> None:
    before = [ended for _, ended in search(task("random_search", MIXED), smooth, trials=8)]
    subject = task("bayesian", NARROWED, original=MIXED)
    whole = search(subject, smooth, trials=9, before=before)
    assert [each.phase for each, _ in whole] == ["model", "model", "explore"] * 3
    assert all(contains(NARROWED, each.parameters) for each, _ in whole if each.phase == "model")


@pytest.mark.parametrize(("share", "places"), [(0.0, []), (0.3, [1, 3, 5]), (0.6, [*range(6)])])
def test_a_bayesian_stage_explores_five_thirds_as_often(share: float, places: list[int]) -> None:
    before = [ended for _, ended in search(task("random_search", MIXED), smooth, trials=8)]
    subject = task("bayesian", NARROWED, original=MIXED, explore=share)
    whole = search(subject, smooth, trials=6, before=before)
    assert [at for at, (each, _) in enumerate(whole) if each.phase == "explore"] == places


def test_points_asked_for_together_are_spread() -> None:
    known = [ended for _, ended in search(task("bayesian", MIXED), smooth, trials=12)]
    asked = make_searcher(task("bayesian", MIXED)).ask(count=4, first_index=12, known=known)
    assert len({assignment_digest(each.parameters) for each in asked}) == 4


def test_bayesian_search_finds_a_small_best_value_in_a_range_asked_for_as_linear() -> None:
    space = SearchSpace.of([Parameter(name="gamma", domain=FloatRange(low=1e-5, high=1.0))])

    def narrow(point: Assignment) -> float:
        gamma = point["gamma"]
        assert isinstance(gamma, float)
        return -abs(math.log10(gamma) + 4)

    whole = search(task("bayesian", space), narrow, trials=16)
    assert max(ended.score or -9 for _, ended in whole) > -0.2


def test_bayesian_search_exhausts_a_small_space() -> None:
    space = SearchSpace.of([Parameter(name="k", domain=Choices(values=("a", "b", "c", "d")))])
    whole = search(task("bayesian", space), lambda point: len(str(point)) / 100, trials=9)
    assert len(whole) == 4
    wide = search(task("bayesian", SMALL_GRID), smooth, trials=60, together=3)
    # max_depth spans 5 … 10 and None, C is continuous: there is always another point.
    assert len(wide) == 60


@pytest.mark.parametrize("method", MODEL_BASED_METHODS)
def test_a_space_without_choice_cannot_be_modelled(method: str) -> None:
    with pytest.raises(SearcherFailed, match="nothing to model"):
        make_searcher(task(method, FIXED))


def test_trials_outside_the_model_do_not_disturb_it() -> None:
    known = [ended for _, ended in search(task("bayesian", MIXED), smooth, trials=6)]
    stranger = trial(len(known), {"other": 1}, 0.9)
    pruned = trial(len(known) + 1, known[0].parameters, state=TrialState.PRUNED)
    asked = make_searcher(task("bayesian", MIXED)).ask(
        count=1, first_index=8, known=[*known, stranger, pruned]
    )
    assert len(asked) == 1


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


# --- TPE ---


def test_tpe_starts_spread_and_then_models() -> None:
    whole = search(task("tpe", MIXED), smooth, trials=8)
    assert [each.phase for each, _ in whole] == ["startup"] * 5 + ["model"] * 3


def test_tpe_beats_random_search_where_there_is_something_to_learn() -> None:
    def best(method: str, seed: int) -> float:
        return max(
            smooth(each.parameters)
            for each, _ in search(task(method, MIXED, seed=seed), smooth, trials=40)
        )

    seeds = range(5)
    assert sum(best("tpe", each) for each in seeds) > sum(
        best("random_search", each) for each in seeds
    )


def test_tpe_learns_from_earlier_stages_only_what_lies_in_its_space() -> None:
    before = [ended for _, ended in search(task("random_search", MIXED), smooth, trials=12)]
    subject = task("tpe", NARROWED, original=MIXED, stage_index=2)
    whole = search(subject, smooth, trials=9, before=before)
    assert all(contains(NARROWED, each.parameters) for each, _ in whole if each.phase != "explore")
    # All trials lie in the original bounds: enough to model those from the first turn on.
    assert [place for place, (each, _) in enumerate(whole) if each.phase == "explore"] == [2, 5, 8]


def test_tpe_spreads_points_asked_for_together() -> None:
    known = [ended for _, ended in search(task("tpe", MIXED), smooth, trials=12)]
    asked = make_searcher(task("tpe", MIXED)).ask(count=6, first_index=12, known=known)
    assert len({assignment_digest(each.parameters) for each in asked}) == 6


def test_tpe_is_told_the_best_and_the_most_recent_trials_and_all_pending() -> None:
    ended = [
        trial(n, {"x": float(n)}, 1.0 if n < 5 else 0.5, state=TrialState.SUCCEEDED)
        for n in range(3_000)
    ]
    failed = trial(3_000, {"x": -1.0}, state=TrialState.FAILED)
    told = {each.number for each in capped_history([*ended, failed, trial(3_001, {"x": -2.0})])}
    assert set(range(5)) | set(range(2_000, 3_000)) | {3_001} <= told
    assert len(told) <= 1_101
    assert 3_000 not in told


def test_pruned_trials_count_as_bad_ones_for_tpe() -> None:
    known = [ended for _, ended in search(task("tpe", MIXED), smooth, trials=12)]
    pruned = [
        trial(12 + n, each.parameters, state=TrialState.PRUNED)
        for n, (each, _) in enumerate(search(task("random_search", MIXED), smooth, trials=9))
    ]
    subject = make_searcher(task("tpe", MIXED))
    without = subject.ask(count=3, first_index=21, known=known)
    assert subject.ask(count=3, first_index=21, known=[*known, *pruned]) != without


# --- scikit-optimize ---


def test_scikit_optimize_starts_spread_then_models_and_spreads_points_asked_for_together() -> None:
    whole = search(task("bayesian_skopt", MIXED), smooth, trials=9)
    assert [each.phase for each, _ in whole] == ["startup"] * 5 + ["model"] * 4
    known = [ended for _, ended in whole]
    asked = make_searcher(task("bayesian_skopt", MIXED)).ask(count=3, first_index=9, known=known)
    assert len({assignment_digest(each.parameters) for each in asked}) == 3


def test_scikit_optimize_finds_better_points_than_random_search() -> None:
    def best(method: str) -> float:
        whole = search(task(method, UNIT_SQUARE), _hill, trials=12)
        return max(_hill(each.parameters) for each, _ in whole)

    assert best("bayesian_skopt") > best("random_search")


def test_scikit_optimize_models_scores_that_are_all_equal() -> None:
    whole = search(task("bayesian_skopt", UNIT_SQUARE), lambda _: 0.5, trials=7)
    assert len({assignment_digest(each.parameters) for each, _ in whole}) == 7


def test_scikit_optimize_is_told_the_best_the_latest_and_what_is_pending() -> None:
    points = search(task("random_search", UNIT_SQUARE), lambda _: 0.5, trials=200, together=200)
    scored = [replace(ended, score=ended.number / 200) for _, ended in points]
    scored[3] = replace(scored[3], score=2.0)
    failed = trial(200, {"x": 0.1, "y": 0.1}, state=TrialState.FAILED)
    pending = trial(201, {"x": 0.2, "y": 0.2})
    told = [each.number for each in told_history([*scored, failed, pending])]
    assert told == sorted(told)
    assert len(told) == 101
    assert {3, 199, 201} <= set(told)
    assert 200 not in told


# --- Points that are tried first ---


START = StartPoints(
    baseline={"C": 1.0, "kernel": "rbf", "max_depth": 12},
    points_to_try=({"C": 2.0, "kernel": "poly", "max_depth": None},),
)


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


def test_a_model_learns_from_the_points_that_were_tried_first() -> None:
    whole = search(replace(task("tpe", MIXED), start=START), smooth, trials=6)
    assert [each.phase for each, _ in whole] == ["baseline", "given"] + ["startup"] * 3 + ["model"]


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


# --- Used-up spaces ---


@pytest.mark.parametrize("method", ["random_search", "sobol", *MODEL_BASED_METHODS])
def test_a_stage_that_begins_in_a_used_up_space_repeats_the_best_point_once(method: str) -> None:
    space = SearchSpace.of([Parameter(name="k", domain=Choices(values=("a", "b", "c")))])
    before = [
        trial(n, {"k": value}, score)
        for n, (value, score) in enumerate([("a", 0.1), ("b", 0.9), ("c", 0.2)])
    ]
    whole = search(task(method, space, stage_index=1), lambda _: 0.9, trials=5, before=before)
    assert [(each.parameters, each.phase, each.copied_from) for each, _ in whole] == [
        ({"k": "b"}, "repeat", 1)
    ]


@pytest.mark.parametrize("method", ["random_search", "sobol", "bayesian", "tpe"])
def test_a_used_up_space_in_which_nothing_succeeded_is_tried_once_more(method: str) -> None:
    space = SearchSpace.of([Parameter(name="k", domain=Choices(values=("a", "b")))])
    before = [trial(n, {"k": value}, state=TrialState.FAILED) for n, value in enumerate("ab")]
    whole = search(task(method, space, stage_index=1), lambda _: 0.9, trials=5, before=before)
    assert [(each.phase, each.copied_from) for each, _ in whole] == [("repeat", None)]


def test_a_shuffled_grid_has_every_point_once_under_its_own_candidate_index() -> None:
    plain = task("grid_search", SMALL_GRID)
    shuffled = replace(plain, shuffled=True)
    in_order = make_searcher(plain).ask(count=100, first_index=0, known=())
    mixed = make_searcher(shuffled).ask(count=100, first_index=0, known=())
    assert mixed != in_order
    assert sorted(mixed, key=lambda each: each.candidate_index or 0) == in_order
    # It goes on elsewhere where it stopped here.
    assert make_searcher(shuffled).ask(count=5, first_index=7, known=()) == mixed[7:12]


def test_a_gaussian_process_learns_from_trials_that_were_stopped_early() -> None:
    whole = task("bayesian", MIXED)
    searcher = make_searcher(whole)
    points = searcher.ask(count=8, first_index=0, known=())
    scores = (0.5, 0.6, 0.7)
    known = [
        replace(
            trial(number, each.parameters, 0.5 + number / 20),
            metrics=(SplitScores(metric="accuracy", scores=scores),),
        )
        for number, each in enumerate(points[:6])
    ]
    stopped = replace(
        trial(6, points[6].parameters, state=TrialState.PRUNED),
        metrics=(SplitScores(metric="accuracy", scores=(0.1,)),),
    )
    without = searcher.ask(count=4, first_index=8, known=[*known, replace(stopped, metrics=())])
    assert searcher.ask(count=4, first_index=8, known=[*known, stopped]) != without

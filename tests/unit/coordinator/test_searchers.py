"""One contract for all searchers, and what each promises beyond it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import ParameterGrid

from services.coordinator.adapters.searchers.registry import make_searcher
from services.coordinator.ports import SearcherFailed, SearchTask
from services.core.digest import assignment_digest
from services.core.space import Choices, Fixed, Parameter, SearchSpace, contains
from services.core.trial import TrialState
from tests.unit.coordinator.searching import (
    MIXED,
    NARROWED,
    SMALL_GRID,
    inside,
    search,
    smooth,
    task,
    trial,
)

FIXED = SearchSpace.of([Parameter(name="C", domain=Fixed(value=1.0))])

TASKS = [
    pytest.param(task("grid_search", SMALL_GRID), id="grid"),
    pytest.param(task("random_search", SMALL_GRID), id="random over lists"),
    pytest.param(task("random_search", MIXED), id="random over ranges"),
    pytest.param(task("random_search", NARROWED, original=MIXED), id="random refined"),
    pytest.param(task("bayesian", MIXED), id="bayesian"),
    pytest.param(task("bayesian", NARROWED, original=MIXED), id="bayesian refined"),
    pytest.param(task("bayesian", SMALL_GRID), id="bayesian over lists"),
    pytest.param(task("cross_validation", FIXED), id="fixed"),
]


@pytest.mark.parametrize("subject", TASKS)
def test_no_point_comes_twice_and_all_lie_in_the_original_space(subject: SearchTask) -> None:
    bounds = subject.original_space
    if subject.method == "bayesian" or subject.refined:
        bounds = inside(bounds)
    points = [each.parameters for each, _ in search(subject, lambda _: 0.5, trials=18)]
    assert len({assignment_digest(point) for point in points}) == len(points)
    assert all(contains(bounds, point) for point in points)


@pytest.mark.parametrize("subject", TASKS)
@pytest.mark.parametrize("cut", [1, 7, 9])
def test_a_replay_makes_the_same_points_as_the_uninterrupted_search(
    subject: SearchTask, cut: int
) -> None:
    whole = search(subject, _partial_score, trials=12)
    known = [ended for _, ended in whole[:cut]]
    again = make_searcher(subject).ask(count=1, first_index=cut, known=known)
    assert list(again) == [each for each, _ in whole[cut : cut + 1]]


@pytest.mark.parametrize("subject", TASKS)
def test_asking_one_by_one_with_the_rest_pending_is_asking_for_all(subject: SearchTask) -> None:
    known = [ended for _, ended in search(subject, _partial_score, trials=7)]
    searcher = make_searcher(subject)
    together = searcher.ask(count=4, first_index=len(known), known=known)
    one_by_one = []
    for _ in together:
        (each,) = make_searcher(subject).ask(count=1, first_index=len(known), known=known)
        one_by_one.append(each)
        known.append(trial(len(known), each.parameters))
    assert one_by_one == list(together)


@pytest.mark.parametrize("subject", TASKS)
def test_failed_and_cancelled_trials_are_neither_learnt_from_nor_repeated(
    subject: SearchTask,
) -> None:
    whole = search(subject, lambda _: None, trials=9)
    assert len({assignment_digest(each.parameters) for each, _ in whole}) == len(whole)


def _partial_score(point: object) -> float | None:
    # Every seventh point or so fails, by its digest: the same in every run.
    digest = int(assignment_digest(point), 16)  # type: ignore[arg-type]
    return None if digest % 7 == 0 else (digest % 1000) / 1000


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


def test_points_asked_for_together_are_spread() -> None:
    known = [ended for _, ended in search(task("bayesian", MIXED), smooth, trials=12)]
    asked = make_searcher(task("bayesian", MIXED)).ask(count=4, first_index=12, known=known)
    assert len({assignment_digest(each.parameters) for each in asked}) == 4


def test_bayesian_search_exhausts_a_small_space() -> None:
    space = SearchSpace.of([Parameter(name="k", domain=Choices(values=("a", "b", "c", "d")))])
    whole = search(task("bayesian", space), lambda point: len(str(point)) / 100, trials=9)
    assert len(whole) == 4
    wide = search(task("bayesian", SMALL_GRID), smooth, trials=60, together=3)
    # max_depth spans 5 … 10 and None, C is continuous: there is always another point.
    assert len(wide) == 60


def test_a_space_without_choice_cannot_be_modelled() -> None:
    with pytest.raises(SearcherFailed, match="nothing to model"):
        make_searcher(task("bayesian", FIXED))


def test_trials_outside_the_model_do_not_disturb_it() -> None:
    known = [ended for _, ended in search(task("bayesian", MIXED), smooth, trials=6)]
    stranger = trial(len(known), {"other": 1}, 0.9)
    pruned = trial(len(known) + 1, known[0].parameters, state=TrialState.PRUNED)
    asked = make_searcher(task("bayesian", MIXED)).ask(
        count=1, first_index=8, known=[*known, stranger, pruned]
    )
    assert len(asked) == 1


# --- Used-up spaces ---


@pytest.mark.parametrize("method", ["random_search", "bayesian"])
def test_a_stage_that_begins_in_a_used_up_space_repeats_the_best_point_once(method: str) -> None:
    space = SearchSpace.of([Parameter(name="k", domain=Choices(values=("a", "b", "c")))])
    before = [
        trial(n, {"k": value}, score)
        for n, (value, score) in enumerate([("a", 0.1), ("b", 0.9), ("c", 0.2)])
    ]
    whole = search(task(method, space, stage_index=1), lambda _: 0.9, trials=5, before=before)
    assert [(each.parameters, each.phase) for each, _ in whole] == [({"k": "b"}, "repeat")]

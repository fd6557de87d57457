"""What searchers with a model promise beyond the contract of all of them (tests/contract/searchers)."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from services.coordinator.adapters.searchers.registry import make_searcher
from services.coordinator.adapters.searchers.skopt_engine import told_history
from services.coordinator.adapters.searchers.tpe import capped_history
from services.coordinator.ports import SearcherFailed
from services.core.digest import assignment_digest
from services.core.modelling import modelling_space
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
from services.core.trial import SplitScores, TrialState
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
    wide = search(task("bayesian", SMALL_GRID), smooth, trials=24, together=3)
    # Of 18 listed points; max_depth spans 5 … 10 and None, C is continuous: there is always another one.
    assert len(wide) == 24


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


@pytest.mark.slow
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


def test_a_model_learns_from_the_points_that_were_tried_first() -> None:
    whole = search(replace(task("tpe", MIXED), start=START), smooth, trials=6)
    assert [each.phase for each, _ in whole] == ["baseline", "given"] + ["startup"] * 3 + ["model"]


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

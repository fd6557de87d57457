"""Pruning without loss: whatever the scores, the order and the delays, the kept candidates are the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import InvalidRequest
from services.core.metrics import METRICS, score_ceiling
from services.core.pruning import Leader, Threshold, lossless, place_of, threshold_of, with_leader
from services.core.pruning_settings import Pruning

CEILING = 1.0
# Few values make many ties; thirds and tenths make sums that round.
SCORES = st.one_of(
    st.sampled_from([1.0, 0.9, 0.1, 1 / 3, 2 / 3, 0.0, -0.5, -3.0, 0.1 + 0.2]),
    st.floats(min_value=-2.0, max_value=1.0),
)


@dataclass(frozen=True)
class Search:
    """A table of scores, shape (candidates, splits), and everything that may happen on the way."""

    table: list[list[float]]
    order: list[int]
    # How many completions each look at the threshold lags behind, one per candidate and split.
    lags: list[list[int]]
    pruning: Pruning


@st.composite
def searches(draw: st.DrawFn) -> Search:
    n_splits = draw(st.integers(2, 11))
    row = st.lists(SCORES, min_size=n_splits, max_size=n_splits)
    failing = row.flatmap(
        lambda scores: st.integers(0, n_splits - 1).map(
            lambda split: [*scores[:split], math.nan, *scores[split + 1 :]]
        )
    )
    table = draw(st.lists(st.one_of(row, row, row, failing), min_size=1, max_size=14))
    count = len(table)
    lags = st.lists(st.integers(0, 4), min_size=n_splits, max_size=n_splits)
    return Search(
        table=table,
        order=draw(st.permutations(range(count))),
        lags=draw(st.lists(lags, min_size=count, max_size=count)),
        pruning=Pruning(keep=draw(st.integers(1, 5)), keep_ties=draw(st.booleans())),
    )


def run(search: Search) -> tuple[dict[int, float], int]:
    """Runs it with pruning. Returns: the complete candidates' means, and how many fits that took."""
    leaders: tuple[Leader, ...] = ()
    history: list[Threshold | None] = [None]
    complete: dict[int, float] = {}
    fits = 0
    for candidate in search.order:
        scores: list[float] = []
        for split, score in enumerate(search.table[candidate]):
            fits += 1
            if math.isnan(score):
                break
            scores.append(score)
            seen = history[max(0, len(history) - 1 - search.lags[candidate][split])]
            decision = lossless(
                scores,
                n_splits=len(search.table[candidate]),
                ceiling=CEILING,
                threshold=seen,
                place=place_of(candidate, candidate),
            )
            if decision.stop:
                break
        if len(scores) == len(search.table[candidate]):
            mean = float(np.mean(scores))
            complete[candidate] = mean
            leader = Leader(score=mean, place=place_of(candidate, candidate))
            leaders = with_leader(leaders, leader, keep=search.pruning.keep)
            history.append(threshold_of(leaders, search.pruning))
    return complete, fits


def kept(means: dict[int, float], pruning: Pruning) -> list[tuple[int, float]]:
    """The candidates to keep, the best first, equal ones in the order of the grid."""
    ranked = sorted(means.items(), key=lambda each: (-each[1], each[0]))
    best = ranked[: pruning.keep]
    if pruning.keep_ties:
        best += [each for each in ranked[pruning.keep :] if each[1] == best[-1][1]]
    return best


@given(searches())
def test_the_kept_candidates_and_their_scores_are_those_of_the_exhaustive_search(
    search: Search,
) -> None:
    exhaustive = {
        candidate: float(np.mean(scores))
        for candidate, scores in enumerate(search.table)
        if not any(math.isnan(each) for each in scores)
    }
    complete, fits = run(search)
    assert kept(complete, search.pruning) == kept(exhaustive, search.pruning)
    assert fits <= sum(len(scores) for scores in search.table)


@given(st.lists(SCORES, min_size=1, max_size=12), st.data())
def test_no_completion_of_the_folds_exceeds_the_bound(
    scores: list[float], data: st.DataObject
) -> None:
    finished = data.draw(st.integers(1, len(scores)))
    decision = lossless(
        scores[:finished], n_splits=len(scores), ceiling=CEILING, threshold=None, place=(0, 0)
    )
    assert float(np.mean(scores)) <= decision.value
    assert not decision.stop


def decided(
    *scores: float, score: float = 0.8, place: tuple[int, int] | None = (4, 9), own: int = 5
) -> bool:
    return lossless(
        scores,
        n_splits=4,
        ceiling=1.0,
        threshold=Threshold(score=score, place=place),
        place=(own, own),
    ).stop


def test_a_candidate_stops_at_the_fold_after_which_it_cannot_win() -> None:
    assert not decided(0.5)
    assert not decided(0.5, 0.9)
    assert decided(0.5, 0.5)


def test_a_candidate_that_can_only_tie_stops_behind_in_the_grid_and_goes_on_before() -> None:
    assert decided(0.0, score=0.75, own=5)
    assert not decided(0.0, score=0.75, own=3)
    assert not decided(0.0, score=0.75, place=None)


def test_a_candidate_with_all_folds_scored_is_never_stopped() -> None:
    assert not decided(0.0, 0.0, 0.0, 0.0)


def test_a_candidate_with_an_undefined_score_is_left_to_fail() -> None:
    assert not decided(math.nan, 0.0)


def test_a_decision_says_what_was_compared_with_what() -> None:
    decision = lossless(
        [0.5, 0.5],
        n_splits=4,
        ceiling=1.0,
        threshold=Threshold(score=0.8, place=None),
        place=(0, 0),
    )
    assert (decision.rule, decision.step) == ("lossless", 2)
    assert (decision.value, decision.cut_off, decision.peers) == (0.75, 0.8, 1)


@pytest.mark.parametrize("scores", [[], [0.1, 0.2, 0.3]])
def test_more_scores_than_splits_and_none_are_refused(scores: Sequence[float]) -> None:
    with pytest.raises(ValueError, match="splits"):
        lossless(scores, n_splits=2, ceiling=1.0, threshold=None, place=(0, 0))


def test_there_is_no_threshold_before_as_many_candidates_are_complete_as_are_kept() -> None:
    leaders = with_leader((), Leader(score=0.5, place=(0, 0)), keep=2)
    assert threshold_of(leaders, Pruning(keep=2)) is None
    leaders = with_leader(leaders, Leader(score=0.7, place=(1, 1)), keep=2)
    assert threshold_of(leaders, Pruning(keep=2)) == Threshold(score=0.5, place=(0, 0), keep=2)
    leaders = with_leader(leaders, Leader(score=0.7, place=(2, 2)), keep=2)
    assert [each.place for each in leaders] == [(1, 1), (2, 2)]


def test_all_that_is_wrong_with_the_settings_is_said_at_once() -> None:
    with pytest.raises(InvalidRequest) as raised:
        Pruning(rule="bold", keep=0)
    assert [each.field for each in raised.value.violations] == ["pruning.rule", "pruning.keep"]


def test_metrics_whose_rounding_grows_with_the_data_have_no_ceiling() -> None:
    without = {name for name in METRICS if score_ceiling(name) is None}
    assert without == {"neg_mean_gamma_deviance", "neg_mean_poisson_deviance"}
    assert score_ceiling("accuracy") == 1.0
    assert score_ceiling("neg_mean_squared_error") == 0.0
    assert score_ceiling("unheard_of") is None

"""Intervals are the corrected resampled t's, and there is none where it does not hold."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from services.core.intervals import (
    IntervalMethod,
    SplitFacts,
    interval_method,
    score_intervals,
)
from services.core.splitting import SPLITTERS, Splitter


def facts(train: int, test: int) -> SplitFacts:
    return SplitFacts(train_rows=train, test_rows=test, fit_seconds=0.1, score_seconds=0.01)


def test_an_interval_is_the_formula_of_nadeau_and_bengio() -> None:
    scores = [0.91, 0.87, 0.93, 0.90, 0.88, 0.94]
    splits = [facts(80, 20)] * 3 + [facts(75, 25)] * 3
    mean = sum(scores) / 6
    variance = sum((each - mean) ** 2 for each in scores) / 5
    ratio = (20 / 80 + 25 / 75) / 2
    found = score_intervals(scores, splits, IntervalMethod.CORRECTED_T)
    assert [each.level for each in found] == [0.95, 0.99]
    for each in found:
        half = stats.t.ppf(0.5 + each.level / 2, 5) * math.sqrt((1 / 6 + ratio) * variance)
        assert each.low == pytest.approx(mean - half, abs=1e-12)
        assert each.high == pytest.approx(mean + half, abs=1e-12)


def test_equal_scores_have_an_interval_without_width() -> None:
    [narrow, wide] = score_intervals([0.5] * 4, [facts(9, 3)] * 4, IntervalMethod.CORRECTED_T)
    assert (narrow.low, narrow.high) == (wide.low, wide.high) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("scores", "splits", "method"),
    [
        ([0.5, 0.6], [facts(9, 3)] * 2, IntervalMethod.NONE),
        ([0.5], [facts(9, 3)], IntervalMethod.CORRECTED_T),
        ([], [], IntervalMethod.CORRECTED_T),
        ([0.5, math.nan], [facts(9, 3)] * 2, IntervalMethod.CORRECTED_T),
        ([1e308, -1e308], [facts(9, 3)] * 2, IntervalMethod.CORRECTED_T),
        ([0.5, 0.6], [facts(9, 3)], IntervalMethod.CORRECTED_T),
        ([0.5, 0.6], [facts(0, 3)] * 2, IntervalMethod.CORRECTED_T),
    ],
)
def test_there_is_none_where_it_would_mean_nothing(
    scores: list[float], splits: list[SplitFacts], method: IntervalMethod
) -> None:
    assert score_intervals(scores, splits, method) == ()


def test_the_method_follows_from_the_splitter() -> None:
    methods = {name: interval_method(Splitter(type=name)) for name in SPLITTERS}
    assert {name for name, each in methods.items() if each is IntervalMethod.NONE} == {
        "time_series_split"
    }
    assert {name for name, each in methods.items() if each is IntervalMethod.CORRECTED_T} == {
        "repeated_k_fold",
        "repeated_stratified_k_fold",
        "shuffle_split",
        "stratified_shuffle_split",
    }
    assert interval_method(None) is IntervalMethod.CORRECTED_T_HEURISTIC

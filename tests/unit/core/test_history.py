"""How a search went: the best-so-far curve and what another trial may bring."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.history import ScoredTrial, expected_improvement, score_history

scores = st.lists(st.integers(-40, 40).map(lambda each: each / 8), max_size=40)


def trials(values: list[float]) -> list[ScoredTrial]:
    return [
        ScoredTrial(number=10 + place, score=value, finished_at=None)
        for place, value in enumerate(values)
    ]


@given(scores)
def test_the_steps_give_the_best_so_far_after_every_trial(values: list[float]) -> None:
    steps = {each.trials_before: each for each in score_history(trials(values)).improvements}
    best = None
    for place, value in enumerate(values):
        improved = best is None or value > best
        assert (place in steps) == improved
        if improved:
            best = value
            assert (steps[place].score, steps[place].trial_number) == (value, 10 + place)


@given(scores)
def test_the_figures_are_those_of_the_standard_library(values: list[float]) -> None:
    found = score_history(trials(values))
    assert found.count == len(values)
    assert found.best == max(values, default=None)
    assert found.mean == (pytest.approx(statistics.fmean(values)) if values else None)
    assert found.std == (pytest.approx(statistics.stdev(values)) if len(values) > 1 else None)
    assert (found.expected_improvement is None) == (len(values) < 2)


@pytest.mark.parametrize(("mean", "std", "best"), [(0.8, 0.1, 0.9), (0.5, 0.2, 0.5), (0.9, 1.0, 2)])
def test_the_expected_improvement_is_the_mean_gain_of_a_draw(
    mean: float, std: float, best: float
) -> None:
    draws = np.random.default_rng(1).normal(mean, std, 400_000)
    simulated = float(np.maximum(draws - best, 0).mean())
    assert expected_improvement(mean, std, best) == pytest.approx(simulated, rel=0.03)


def test_equal_scores_promise_nothing_and_huge_ones_do_not_break_it() -> None:
    assert score_history(trials([0.5, 0.5])).expected_improvement == 0.0
    huge = score_history(trials([1e308, -1e308]))
    assert (huge.std, huge.expected_improvement) == (None, None)
    assert not math.isnan(huge.mean or 0.0)

"""Median, ASHA and racing against plain re-statements of their papers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from services.core.errors import InvalidRequest
from services.core.pruning_rules import asha, median, median_best_so_far
from services.core.pruning_settings import AshaRule, MedianRule, RacingRule
from services.core.racing import racing

# Recorded: held-out accuracy after each of ten epochs of SGDClassifier (log loss, 300 rows of digits) at
# learning rates 0.0001, 0.001, 0.01, 0.1, 1 and 30.
CURVES = (
    (0.512, 0.519, 0.531, 0.533, 0.539, 0.548, 0.561, 0.565, 0.574, 0.582),
    (0.594, 0.635, 0.655, 0.670, 0.687, 0.704, 0.715, 0.725, 0.744, 0.753),
    (0.615, 0.765, 0.820, 0.848, 0.862, 0.867, 0.873, 0.877, 0.879, 0.881),
    (0.819, 0.852, 0.864, 0.865, 0.869, 0.870, 0.871, 0.872, 0.872, 0.874),
    (0.517, 0.621, 0.583, 0.615, 0.616, 0.621, 0.632, 0.646, 0.664, 0.672),
    (0.152, 0.156, 0.156, 0.156, 0.157, 0.157, 0.157, 0.157, 0.157, 0.157),
)
SCORES = st.one_of(st.sampled_from([0.1, 0.5, 0.9, -1.0]), st.floats(-1.0, 1.0))
TABLES = st.lists(st.lists(SCORES, min_size=1, max_size=6), max_size=10)


@given(st.lists(SCORES, min_size=1, max_size=6), TABLES, st.integers(1, 3), st.integers(1, 4))
def test_the_median_rule_is_its_plain_statement(
    scores: list[float], peers: list[list[float]], warmup: int, startup: int
) -> None:
    step = len(scores)
    means = [float(np.mean(each[:step])) for each in peers if len(each) >= step]
    expected = (
        step >= warmup
        and len(means) >= startup
        and float(np.mean(scores)) < statistics.median(means)
    )
    decision = median(scores, peers, rule=MedianRule(warmup_steps=warmup, startup_trials=startup))
    assert decision.stop == expected
    assert decision.peers == len(means)


def test_the_median_rule_stops_the_learners_below_the_middle() -> None:
    rule = MedianRule(warmup_steps=3, interval_steps=2)
    stopped: dict[int, int] = {}
    for step in range(1, 11):
        for place, curve in enumerate(CURVES):
            others = [each for other, each in enumerate(CURVES) if other != place]
            if place not in stopped and median_best_so_far(curve[:step], others, rule=rule).stop:
                stopped[place] = step
    # By hand. Running averages up to step 3: .521, .628, .733, .845, .574, .155; against the others'
    # medians of .628, .574, .574, .574, .628, .628 stand .531, .655, .820, .864, .621 and .156.
    assert stopped == {0: 3, 4: 3, 5: 3}


def test_the_median_rule_waits_for_its_warm_up_and_its_intervals() -> None:
    rule = MedianRule(warmup_steps=2, interval_steps=3, startup_trials=1)
    looks = [step for step in range(1, 9) if median([0.0] * step, [[1.0] * 9], rule=rule).stop]
    assert looks == [2, 5, 8]


@given(SCORES, st.lists(SCORES, max_size=20), st.integers(2, 5))
def test_asha_is_its_plain_statement(value: float, recorded: list[float], eta: int) -> None:
    everyone = [*recorded, value]
    better = sum(each > value for each in everyone)
    expected = len(everyone) >= eta and better >= len(everyone) // eta
    assert asha(value, recorded, step=1, reduction_factor=eta).stop == expected


def run_asha(curves: Sequence[Sequence[float]], rule: AshaRule) -> list[int]:
    """Runs curves one after another. Returns: the steps each was given."""
    recorded: dict[int, list[float]] = {rung: [] for rung in rule.rungs}
    steps = []
    for curve in curves:
        reached = rule.max_steps
        for rung in rule.rungs:
            value = curve[rung - 1]
            decision = asha(
                value, recorded[rung], step=rung, reduction_factor=rule.reduction_factor
            )
            recorded[rung].append(value)
            if decision.stop:
                reached = rung
                break
        steps.append(reached)
    return steps


def test_asha_gives_each_learner_the_steps_the_paper_gives_it() -> None:
    rule = AshaRule(grace_period=2, reduction_factor=2, max_steps=10)
    assert rule.rungs == (2, 4, 8)
    # By hand. Rung 2: .519 is alone; .635 leads two and .765 three; .852 leads four; of five the top
    # floor(5/2) = 2 go on, and .621 is fourth; of six the top 3, and .156 is last. Rungs 4 and 8: four
    # values, each among the top half when it came (.872 is second of four).
    assert run_asha(CURVES, rule) == [10, 10, 10, 10, 2, 2]


def test_asha_stops_values_that_are_not_finite_once_there_are_enough() -> None:
    assert not asha(math.nan, [], step=1, reduction_factor=2).stop
    assert asha(math.nan, [0.5], step=1, reduction_factor=2).stop
    assert not asha(0.5, [math.nan], step=1, reduction_factor=2).stop


# A permutation test is exact and slow where differences tie.
@settings(max_examples=25)
@given(
    # scipy takes all signs of tied differences in turn: with more pairs that takes seconds.
    st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=8),
    st.sampled_from(["wilcoxon", "corrected_t"]),
)
def test_racing_is_its_plain_statement(pairs: list[tuple[float, float]], test: str) -> None:
    scores, incumbent = [list(each) for each in zip(*pairs, strict=True)]
    decision = racing(scores, incumbent, rule=RacingRule(test=test), test_share=0.25)
    differences = np.array(scores) - np.array(incumbent)
    if len(pairs) < 5 or not differences.any():
        assert not decision.stop
        return
    if test == "wilcoxon":
        nonzero = differences[differences != 0]
        expected = float(stats.wilcoxon(nonzero, alternative="less").pvalue)
    elif np.var(differences, ddof=1) == 0:
        expected = float(differences.mean() > 0)
    else:
        scale = math.sqrt((1 / len(pairs) + 0.25) * np.var(differences, ddof=1))
        expected = float(stats.t.cdf(differences.mean() / scale, df=len(pairs) - 1))
    assert decision.value == pytest.approx(expected)
    assert decision.stop == (decision.value <= 0.05)


@pytest.mark.parametrize("pairs", [50, 51, 200])
def test_races_over_many_splits_have_the_p_value_of_scipy(pairs: int) -> None:
    random = np.random.default_rng(pairs)
    incumbent = random.normal(0.8, 0.05, pairs)
    scores = incumbent - 0.01 + random.normal(0.0, 0.05, pairs)
    decision = racing(
        list(scores), list(incumbent), rule=RacingRule(test="wilcoxon"), test_share=0.25
    )
    method = "exact" if pairs == 50 else "asymptotic"
    expected = stats.wilcoxon(scores - incumbent, alternative="less", method=method).pvalue
    assert decision.value == pytest.approx(float(expected))


def test_racing_needs_an_incumbent_and_five_shared_splits() -> None:
    rule = RacingRule(test="wilcoxon")
    worse, better = [0.1, 0.2, 0.3, 0.1, 0.2], [0.8, 0.95, 0.9, 0.7, 0.9]
    assert not racing(worse, None, rule=rule, test_share=0.25).stop
    assert not racing(worse[:4], better, rule=rule, test_share=0.25).stop
    assert racing(worse, better, rule=rule, test_share=0.25).stop
    assert not racing(better, worse, rule=rule, test_share=0.25).stop


def test_rules_say_all_that_is_wrong_with_their_figures_at_once() -> None:
    with pytest.raises(InvalidRequest) as asha_raised:
        AshaRule(grace_period=30, reduction_factor=1, max_steps=10)
    assert [each.field for each in asha_raised.value.violations] == [
        "pruning.grace_period",
        "pruning.reduction_factor",
    ]
    with pytest.raises(InvalidRequest) as median_raised:
        MedianRule(warmup_steps=0, interval_steps=0, startup_trials=0)
    assert len(median_raised.value.violations) == 3
    with pytest.raises(InvalidRequest) as racing_raised:
        RacingRule(test="guess", level=0.7, min_splits=3)
    assert len(racing_raised.value.violations) == 3

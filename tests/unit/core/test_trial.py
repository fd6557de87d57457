from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.statistics import ScoreSummary, mean_score, summarise
from services.core.trial import (
    MAX_SHORT_MESSAGE,
    TrialState,
    best_of,
    in_short,
    rank_key,
    ranked,
)
from tests.unit.core.strategies import few, make_trial


def test_the_higher_score_is_better_then_stage_then_candidate_then_number() -> None:
    expected = [
        make_trial(9, {}, 0.9, stage=2),
        make_trial(8, {}, 0.5, stage=0, candidate=1),
        make_trial(3, {}, 0.5, stage=0, candidate=2),
        make_trial(1, {}, 0.5, stage=0),
        make_trial(2, {}, 0.5, stage=0),
        make_trial(0, {}, 0.5, stage=1, candidate=0),
    ]
    shuffled = [expected[place] for place in (3, 5, 0, 4, 2, 1)]
    assert sorted(shuffled, key=rank_key) == expected
    assert best_of(reversed(expected)) == expected[0]


def test_only_successes_rank() -> None:
    failed = make_trial(0, {}, None)
    running = make_trial(1, {}, None, state=TrialState.RUNNING)
    good = make_trial(2, {}, -5.0)
    assert ranked([failed, running, good]) == [good]
    assert best_of([failed, running]) is None
    assert sorted([running, failed, good], key=rank_key) == [good, failed, running]


@few
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_the_mean_is_numpys_over_a_row_as_grid_search_takes_it(scores: list[float]) -> None:
    row = np.array([scores, scores], dtype=np.float64)
    assert mean_score(scores) == float(np.mean(scores)) == float(np.average(row, axis=1)[0])


def test_scores_are_summarised_with_ddof_0() -> None:
    summary = summarise([0.5, 0.7, 0.9, 0.9])
    assert summary.mean == pytest.approx(0.75)
    assert summary.std == pytest.approx(np.std([0.5, 0.7, 0.9, 0.9]))
    assert summary.median == pytest.approx(0.8)
    assert (summary.min, summary.max) == (0.5, 0.9)


@pytest.mark.parametrize("scores", [[0.5, float("nan")], [float("inf")], []])
def test_a_metric_that_was_undefined_on_a_split_has_no_summary(scores: list[float]) -> None:
    summary = summarise(scores)
    assert summary == ScoreSummary(mean=None, std=None, median=None, min=None, max=None)


def test_deviations_beyond_the_largest_float_are_left_out() -> None:
    summary = summarise([0.0, 1e200])
    assert summary.mean == 5e199
    assert summary.std is None


def test_no_scores_have_no_mean() -> None:
    with pytest.raises(ValueError, match="no split scores"):
        mean_score([])


def test_a_quoted_failure_keeps_its_beginning_and_of_a_traceback_its_last_line() -> None:
    assert in_short("ValueError: no") == "ValueError: no"
    long = in_short("ValueError: " + "x" * 4_000)
    assert (long[:13], long[-1], len(long)) == ("ValueError: x", "…", MAX_SHORT_MESSAGE)
    traceback = 'Traceback (most recent call last)\n  File "model.py", line 1\nKeyError: 3\n'
    assert in_short(traceback) == "KeyError: 3"

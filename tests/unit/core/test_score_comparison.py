"""Two candidates are compared by the paired corrected resampled t, and only where that means something."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from services.core.intervals import IntervalMethod, SplitFacts
from services.core.objective import EvaluationSpec
from services.core.score_comparison import (
    Candidate,
    NotComparable,
    ScoreComparison,
    compare_candidates,
    compare_scores,
    split_differences,
)
from services.core.splitting import Splitter
from services.core.trial import SplitScores, Trial, TrialState

SPEC = EvaluationSpec(
    dataset_id="wine",
    dataset_hash="h",
    model_type="svm_classifier",
    metrics=("accuracy", "f1_macro"),
)
REPEATED = Splitter(type="repeated_stratified_k_fold", n_splits=5, n_repeats=2)
SCORES = (0.91, 0.87, 0.93, 0.90, 0.88)
OTHERS = (0.90, 0.88, 0.90, 0.86, 0.85)


def parts(*sizes: tuple[int, int]) -> tuple[SplitFacts, ...]:
    return tuple(
        SplitFacts(train_rows=train, test_rows=test, fit_seconds=0.1, score_seconds=0.1)
        for train, test in sizes
    )


def candidate(number: int, scores: tuple[float, ...], **changes: Any) -> Candidate:
    trial = Trial(
        orchestration_id="o",
        number=number,
        tuning_run_id="r",
        stage_index=0,
        state=TrialState.SUCCEEDED,
        attempt=0,
        parameters={},
        candidate_index=None,
        phase="random",
        suggestion_index=number,
        suggested_at_sequence=0,
        score=float(np.mean(scores)),
        metrics=(
            SplitScores(metric="accuracy", scores=scores),
            SplitScores(metric="f1_macro", scores=(math.nan, *scores[1:])),
        ),
        splits=parts(*[(80, 20)] * len(scores)),
    )
    return Candidate(trial=replace(trial, **changes), evaluation=SPEC)


def of(one: Candidate, **changes: Any) -> Candidate:
    return replace(one, evaluation=replace(one.evaluation, **changes))


def compared(
    first: tuple[float, ...], second: tuple[float, ...], splits: tuple[SplitFacts, ...]
) -> ScoreComparison:
    return compare_scores(
        first, second, metric="accuracy", splits=splits, method=IntervalMethod.CORRECTED_T
    )


def test_the_test_is_the_formula_of_nadeau_and_bengio() -> None:
    splits = parts((80, 20), (75, 25), (80, 20), (75, 25), (90, 10))
    found = compared(SCORES, OTHERS, splits)
    differences = [a - b for a, b in zip(SCORES, OTHERS, strict=True)]
    mean = sum(differences) / 5
    variance = sum((each - mean) ** 2 for each in differences) / 4
    ratio = (20 / 80 + 25 / 75 + 20 / 80 + 25 / 75 + 10 / 90) / 5
    statistic = mean / math.sqrt((1 / 5 + ratio) * variance)
    assert found.test is not None
    assert found.difference == pytest.approx(mean, abs=1e-15)
    assert found.test.statistic == pytest.approx(statistic, rel=1e-12)
    assert found.test.degrees_of_freedom == 4
    assert found.test.p_value == pytest.approx(2 * stats.t.sf(statistic, 4), rel=1e-12)


_score = st.floats(0.0, 1.0)


@settings(max_examples=60)
@given(
    pairs=st.lists(st.tuples(_score, _score), min_size=2, max_size=12),
    train=st.integers(1, 900),
    test=st.integers(1, 300),
)
def test_it_is_scipys_paired_test_with_the_correction(
    pairs: list[tuple[float, float]], train: int, test: int
) -> None:
    first, second = zip(*pairs, strict=True)
    count = len(pairs)
    found = compared(first, second, parts(*[(train, test)] * count))
    assert found.test is not None
    plain = stats.ttest_rel(first, second) if np.ptp(np.subtract(first, second)) > 1e-9 else None
    if plain is not None:
        corrected = plain.statistic * math.sqrt((1 / count) / (1 / count + test / train))
        assert found.test.statistic == pytest.approx(corrected, rel=1e-6)
        assert found.test.p_value == pytest.approx(
            2 * stats.t.sf(abs(corrected), count - 1), rel=1e-6
        )
    for each in found.intervals:
        outside = not each.low <= 0.0 <= each.high
        if abs(found.test.p_value - (1 - each.level)) > 1e-9:
            assert outside == (found.test.p_value < 1 - each.level)
    turned = compared(second, first, parts(*[(train, test)] * count))
    assert turned.test is not None
    assert turned.difference == pytest.approx(-found.difference, abs=1e-15)
    assert turned.test.p_value == pytest.approx(found.test.p_value, rel=1e-9)


def test_equal_scores_differ_by_chance_and_a_constant_difference_does_not() -> None:
    splits = parts(*[(3, 1)] * 4)
    same = compared((0.5,) * 4, (0.5,) * 4, splits).test
    assert same is not None
    assert (same.statistic, same.p_value) == (0.0, 1.0)
    shifted = compared((0.25,) * 4, (0.5,) * 4, splits).test
    assert shifted is not None
    assert (shifted.statistic, shifted.p_value) == (-math.inf, 0.0)


def test_candidates_are_compared_by_the_objective_unless_another_metric_is_named() -> None:
    ours, theirs = candidate(3, SCORES), candidate(5, OTHERS)
    found = compare_candidates(ours, theirs)
    assert found.metric == "accuracy"
    assert found.differences == tuple(a - b for a, b in zip(SCORES, OTHERS, strict=True))
    assert (found.first_mean, found.second_mean) == (float(np.mean(SCORES)), float(np.mean(OTHERS)))
    assert found.method is IntervalMethod.CORRECTED_T_HEURISTIC
    with pytest.raises(NotComparable, match="f1_macro of trial 3 is undefined on some splits"):
        compare_candidates(ours, theirs, metric="f1_macro")
    with pytest.raises(NotComparable, match="trial 5 has no r2; it was scored by accuracy"):
        compare_candidates(ours, theirs, metric="r2")


def test_repeated_folds_make_the_test_more_than_a_heuristic() -> None:
    first, second = (
        of(candidate(number, scores * 2), splitter=REPEATED)
        for number, scores in ((0, SCORES), (1, OTHERS))
    )
    assert compare_candidates(first, second).method is IntervalMethod.CORRECTED_T


def test_there_is_a_difference_and_no_test_over_a_time_series_or_one_split() -> None:
    series = Splitter(type="time_series_split", n_splits=5)
    ours, theirs = (of(candidate(number, SCORES), splitter=series) for number in (0, 1))
    single = [candidate(number, SCORES[:1]) for number in (0, 1)]
    for found in (compare_candidates(ours, theirs), compare_candidates(*single)):
        assert found.difference == 0.0
        assert (found.method, found.test, found.intervals) == (IntervalMethod.NONE, None, ())


def test_everything_in_the_way_is_said_at_once() -> None:
    waiting = candidate(1, SCORES, state=TrialState.RUNNING, score=None, metrics=(), splits=())
    pruned = candidate(2, SCORES, state=TrialState.PRUNED)
    other = of(
        pruned, dataset_hash="i", dataset_id="iris", splitter=REPEATED, weighted_scoring=True
    )
    with pytest.raises(NotComparable) as refused:
        compare_candidates(waiting, other)
    assert refused.value.reasons == (
        "trial 1 is RUNNING: wait until it has ended",
        "trial 2 is PRUNED: it was stopped before its last split",
        "they are on different data (wine and iris): scores on different rows cannot be paired",
        (
            "their splits differ (stratified_k_fold(n_splits=5) and"
            " repeated_stratified_k_fold(n_splits=5, n_repeats=2))"
        ),
        "one is scored with weights, the other without",
    )


def test_splits_of_other_sizes_are_other_splits() -> None:
    odd = candidate(1, OTHERS, splits=parts(*[(79, 21)] * 5))
    with pytest.raises(NotComparable, match="differ in size"):
        compare_candidates(candidate(0, SCORES), odd)


def test_scores_that_their_own_test_rows_flatter_are_not_compared() -> None:
    splits = tuple(replace(each, optimistic=True) for each in parts(*[(80, 20)] * 5))
    with pytest.raises(
        NotComparable, match="trial 1 was stopped early by the rows it is scored on"
    ):
        compare_candidates(candidate(0, SCORES), candidate(1, OTHERS, splits=splits))


def test_what_scikit_learn_does_by_default_is_the_same_when_it_is_said() -> None:
    said = replace(SPEC, splitter=Splitter(type="stratified_k_fold", n_splits=5), random_state=7)
    assert split_differences(SPEC, said) == []
    plain = replace(SPEC, splitter=Splitter(type="k_fold", n_splits=5))
    assert len(split_differences(SPEC, plain)) == 1
    forest = replace(SPEC, model_type="random_forest_classifier")
    assert split_differences(SPEC, forest) == []


@pytest.mark.parametrize(
    "splitter",
    [
        REPEATED,
        Splitter(type="shuffle_split", n_splits=3),
        Splitter(type="stratified_k_fold", n_splits=3, shuffle=True),
    ],
)
def test_splits_that_are_drawn_need_the_same_seed(splitter: Splitter) -> None:
    drawn = replace(SPEC, splitter=splitter)
    assert split_differences(drawn, drawn) == []
    [why] = split_differences(drawn, replace(drawn, random_state=43))
    assert "different seeds (42 and 43)" in why

"""Which rows say when boosting stops, and what follows for the fit on all rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.early_stopping import (
    EarlyStopping,
    early_stopping,
    early_stopping_problem,
    final_rounds,
    without_early_stopping,
)
from services.core.inner_splits import (
    InnerSplit,
    grouped_split,
    last_split,
    plain_split,
    stratified_split,
)
from services.core.space import Value

labels = st.lists(st.integers(0, 4), min_size=2, max_size=60).filter(
    lambda each: len(set(each)) < len(each)
)
fractions = st.floats(0.01, 0.5)
seeds = st.integers(0, 1000)


def assert_parted(split: InnerSplit, n_rows: int) -> None:
    """Every row is on one side, in its order, and no side is empty."""
    fitted, aside = split
    assert len(fitted) > 0
    assert len(aside) > 0
    assert sorted([*fitted, *aside]) == list(range(n_rows))
    assert list(fitted) == sorted(fitted)
    assert list(aside) == sorted(aside)


@settings(max_examples=40)
@given(labels, fractions, seeds)
def test_every_class_keeps_rows_to_fit_and_gives_its_share(
    classes: list[int], fraction: float, seed: int
) -> None:
    given_labels = np.array(classes)
    fitted, aside = stratified_split(given_labels, fraction, seed=seed)
    assert_parted((fitted, aside), len(classes))
    assert set(given_labels[fitted]) == set(classes)
    expected = {each: round(classes.count(each) * fraction) for each in set(classes)}
    if any(min(share, classes.count(each) - 1) for each, share in expected.items()):
        for each, share in expected.items():
            assert np.sum(given_labels[aside] == each) == min(share, classes.count(each) - 1)
    else:
        assert len(aside) == 1
    again = stratified_split(given_labels, fraction, seed=seed)
    assert np.array_equal(again[0], fitted)


@settings(max_examples=20)
@given(st.integers(2, 60), fractions, seeds)
def test_rows_without_classes_give_their_share(n_rows: int, fraction: float, seed: int) -> None:
    drawn = plain_split(n_rows, fraction, seed=seed)
    assert_parted(drawn, n_rows)
    fitted, aside = last_split(n_rows, fraction)
    assert_parted((fitted, aside), n_rows)
    assert max(fitted) < min(aside)
    assert len(aside) == len(drawn[1]) == max(1, round(n_rows * fraction))


@settings(max_examples=20)
@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=40), fractions, seeds)
def test_no_group_is_on_both_sides(names: list[str], fraction: float, seed: int) -> None:
    groups = np.array(names)
    if len(set(names)) < 2:
        with pytest.raises(ValueError, match="two or more"):
            grouped_split(groups, fraction, seed=seed)
        return
    fitted, aside = grouped_split(groups, fraction, seed=seed)
    assert_parted((fitted, aside), len(names))
    assert not set(groups[fitted]) & set(groups[aside])


def test_classes_of_one_row_each_cannot_be_parted() -> None:
    with pytest.raises(ValueError, match="no class has two rows"):
        stratified_split(np.array(["a", "b", "c"]), 0.2, seed=0)


def test_a_candidate_says_how_it_stops() -> None:
    assert early_stopping({"n_estimators": 10}) is None
    assert early_stopping({"early_stopping_rounds": None, "early_stopping_fraction": 0.2}) is None
    assert early_stopping({"early_stopping_rounds": 5}) == EarlyStopping(rounds=5, fraction=0.1)
    asked: dict[str, Value] = {
        "early_stopping_rounds": 5,
        "early_stopping_fraction": 0.25,
        "early_stopping_set": "test_fold",
        "max_depth": 3,
    }
    assert early_stopping(asked) == EarlyStopping(rounds=5, fraction=0.25, on_test_fold=True)
    assert without_early_stopping(asked) == {"max_depth": 3}


def test_boosting_that_changes_earlier_rounds_has_no_best_one() -> None:
    assert "dart" in early_stopping_problem({"booster": "dart", "early_stopping_rounds": 5})
    assert "dart" in early_stopping_problem({"boosting_type": "dart", "early_stopping_rounds": 5})
    assert not early_stopping_problem({"booster": "dart", "early_stopping_rounds": None})
    assert not early_stopping_problem({"booster": "gbtree", "early_stopping_rounds": 5})


@pytest.mark.parametrize(("rounds", "final"), [([7], 7), ([3, 10, 5], 5), ([4, 7], 6), ([4, 6], 5)])
def test_the_fit_on_all_rows_has_the_median_of_the_rounds(rounds: list[int], final: int) -> None:
    assert final_rounds(rounds) == final

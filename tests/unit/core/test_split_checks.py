"""Splitters that cannot split are refused by field, with what to do instead."""

from __future__ import annotations

import pytest

from services.core.split_checks import (
    FOLDS_ABOVE_SMALLEST_CLASS,
    RowFacts,
    check_folds,
    check_splitter,
)
from services.core.splitting import Splitter


@pytest.mark.parametrize(
    ("folds", "counts", "rows", "text"),
    [
        (1, [50, 50], 100, "1 is below 2"),
        (-3, [], 100, "-3 is below 2"),
        (11, [], 10, "11 is above the 10 rows"),
        (6, [5, 3], 8, "6 is above the size of every class, of which the largest has 5 rows"),
    ],
)
def test_folds_that_cannot_be_made_are_refused(
    folds: int, counts: list[int], rows: int, text: str
) -> None:
    assert text in check_folds(folds, counts, rows).problem


def test_folds_above_the_smallest_class_warn() -> None:
    check = check_folds(5, [50, 3], 53)
    assert check.problem == ""
    assert check.notice.startswith(f"{FOLDS_ABOVE_SMALLEST_CLASS}: 5 folds")
    assert check_folds(3, [50, 3], 53).notice == ""
    assert check_folds(10, [], 10).problem == ""


def test_an_unknown_splitter_is_named_with_those_that_are_known() -> None:
    [(field, text)] = check_splitter(
        Splitter(type="kfold", n_splits=5), RowFacts(count=9)
    ).problems.items()
    assert field == "type"
    assert 'did you mean "k_fold"' in text
    assert "time_series_split" in text


def test_every_setting_a_splitter_does_not_have_is_named_with_its_owner() -> None:
    splitter = Splitter(type="k_fold", n_splits=5, gap=1, n_repeats=2, test_size=0.5)
    problems = check_splitter(splitter, RowFacts(count=100)).problems
    assert set(problems) == {"gap", "n_repeats", "test_size"}
    assert "time_series_split" in problems["gap"]
    assert "repeated_k_fold" in problems["n_repeats"]


def test_settings_outside_their_range_are_listed_together() -> None:
    series = Splitter(type="time_series_split", n_splits=1, gap=-1, max_train_rows=0, test_rows=0)
    assert set(check_splitter(series, RowFacts(count=100)).problems) == {
        "n_splits",
        "gap",
        "max_train_rows",
        "test_rows",
    }


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, float("nan")])
def test_a_share_that_leaves_nothing_is_refused(share: float) -> None:
    splitter = Splitter(type="shuffle_split", n_splits=5, test_size=share)
    assert set(check_splitter(splitter, RowFacts(count=100)).problems) == {"test_size"}


def test_stratifying_a_number_names_the_splitter_to_use_instead() -> None:
    splitter = Splitter(type="repeated_stratified_k_fold", n_splits=5)
    problems = check_splitter(splitter, RowFacts(count=100)).problems
    assert problems["type"].endswith("use repeated_k_fold")


def test_too_many_splits_in_all_are_refused() -> None:
    splitter = Splitter(type="repeated_k_fold", n_splits=50, n_repeats=21)
    assert "1,050 splits" in check_splitter(splitter, RowFacts(count=100)).problems["n_repeats"]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("group_k_fold", "group column"),
        ("leave_one_group_out", "group column"),
        ("predefined_split", "fold column"),
    ],
)
def test_a_splitter_by_a_column_needs_the_column(name: str, column: str) -> None:
    n_splits = 5 if name == "group_k_fold" else None
    splitter = Splitter(type=name, n_splits=n_splits)
    problems = check_splitter(splitter, RowFacts(count=100)).problems
    assert set(problems) == {"type"}
    assert f"has no {column}; upload it with one" in problems["type"]


def test_folds_above_the_groups_are_refused_by_their_number() -> None:
    splitter = Splitter(type="group_k_fold", n_splits=6)
    problems = check_splitter(splitter, RowFacts(count=100, group_count=5)).problems
    assert problems == {
        "n_splits": "6 is above the 5 groups of the dataset; use 5 or fewer",
    }


def test_splits_that_the_data_count_take_no_number() -> None:
    rows = RowFacts(count=100, group_count=7, fold_count=3)
    assert check_splitter(Splitter(type="leave_one_group_out"), rows).split_count == 7
    assert check_splitter(Splitter(type="predefined_split"), rows).split_count == 3
    named = check_splitter(Splitter(type="predefined_split", n_splits=3), rows)
    assert set(named.problems) == {"n_splits"}

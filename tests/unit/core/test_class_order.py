"""Classes that training parts lack: told before, as scikit-learn's splitters come to lack them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import KFold, TimeSeriesSplit

from services.core.class_order import CLASSES_NOT_TRAINED_ON, untrained_notice
from services.core.split_checks import RowFacts, check_splitter
from services.core.splitting import Splitter
from tests.unit.core import strategies

Target = npt.NDArray[np.int64]


def spans_of(target: Target) -> dict[str, tuple[int, int]]:
    places = {int(each): np.flatnonzero(target == each) for each in np.unique(target)}
    return {str(label): (int(rows[0]), int(rows[-1])) for label, rows in places.items()}


def lacking(target: Target, splits: Iterable[tuple[Target, Target]]) -> dict[int, list[str]]:
    """Split, from 1 → classes that its training part has no row of, as scikit-learn makes it."""
    found = {}
    for number, (train, _) in enumerate(splits, start=1):
        missing = sorted(set(target.tolist()) - set(target[train].tolist()))
        if missing:
            found[number] = [str(each) for each in missing]
    return found


def assert_told(notice: str, missing: dict[int, list[str]], *, splits: int) -> None:
    if not missing:
        assert notice == ""
        return
    assert notice.startswith(
        f"{CLASSES_NOT_TRAINED_ON}: {len(missing)} of {splits} splits train without a class"
    )
    for number, labels in list(missing.items())[:3]:
        shown = ", ".join(f'"{each}"' for each in labels[:5])
        assert f"split {number} without {shown}" in notice


targets = st.lists(st.integers(0, 3), min_size=8, max_size=40).map(np.array)
sorted_targets = targets.map(np.sort)


@strategies.few
@given(st.one_of(targets, sorted_targets), st.integers(2, 7), st.integers(0, 2))
def test_a_time_series_tells_what_its_training_parts_lack(
    target: Target, splits: int, gap: int
) -> None:
    splitter = Splitter(type="time_series_split", n_splits=splits, gap=gap)
    rows = RowFacts(
        count=len(target),
        class_counts=tuple(np.unique(target, return_counts=True)[1].tolist()),
        class_spans=spans_of(target),
        in_time=True,
    )
    checked = check_splitter(splitter, rows)
    if checked.problems:
        return
    missing = lacking(target, TimeSeriesSplit(splits, gap=gap).split(target))
    assert_told(checked.notice, missing, splits=splits)


@strategies.few
@given(sorted_targets, st.integers(2, 5), st.integers(1, 6))
def test_a_bound_on_training_rows_is_told_of_where_it_is_certain(
    target: Target, splits: int, most: int
) -> None:
    splitter = Splitter(type="time_series_split", n_splits=splits, max_train_rows=most)
    notice = untrained_notice(splitter, len(target), spans_of(target))
    missing = lacking(target, TimeSeriesSplit(splits, max_train_size=most).split(target))
    # Rows in order of class leave nothing uncertain.
    assert_told(notice, missing, splits=splits)


@strategies.few
@given(st.one_of(targets, sorted_targets), st.integers(2, 7))
def test_folds_in_the_order_of_rows_tell_what_their_training_parts_lack(
    target: Target, splits: int
) -> None:
    splitter = Splitter(type="k_fold", n_splits=splits)
    notice = untrained_notice(splitter, len(target), spans_of(target))
    assert_told(notice, lacking(target, KFold(splits).split(target)), splits=splits)


@pytest.mark.parametrize(
    "splitter",
    [
        Splitter(type="k_fold", n_splits=3, shuffle=True),
        Splitter(type="stratified_k_fold", n_splits=3),
        Splitter(type="shuffle_split", n_splits=3),
    ],
)
def test_splitters_that_do_not_keep_the_order_are_not_told_of(splitter: Splitter) -> None:
    rows = RowFacts(
        count=150,
        class_counts=(50, 50, 50),
        class_spans={"0": (0, 49), "1": (50, 99), "2": (100, 149)},
    )
    assert check_splitter(splitter, rows).notice == ""


def test_places_by_time_say_nothing_of_folds_in_the_order_of_the_file() -> None:
    rows = RowFacts(
        count=100, class_counts=(50, 50), class_spans={"0": (0, 49), "1": (50, 99)}, in_time=True
    )
    assert check_splitter(Splitter(type="k_fold", n_splits=2), rows).notice == ""
    assert check_splitter(Splitter(type="time_series_split", n_splits=2), rows).notice


def test_many_classes_and_splits_are_told_in_short() -> None:
    spans = {str(label): (10 * label, 10 * label + 9) for label in range(20)}
    notice = untrained_notice(Splitter(type="time_series_split", n_splits=9), 200, spans)
    assert 'split 1 without "2", "3", "4", "5", "6" and 13 more; split 2' in notice
    assert "; and 6 more; later rows" in notice

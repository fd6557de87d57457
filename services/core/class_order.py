"""Splits whose training part lacks a class, as rows that are sorted by class give them to splitters that keep order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from services.core.splitting import SPLITTERS, Splitter

CLASSES_NOT_TRAINED_ON: Final = "CLASSES_NOT_TRAINED_ON"

_SHOWN_SPLITS: Final = 3
_SHOWN_LABELS: Final = 5


def untrained_notice(
    splitter: Splitter, row_count: int, spans: Mapping[str, tuple[int, int]]
) -> str:
    """Tells which splits train without a class; empty where none does, or that cannot be known.

    Args:
        splitter: accepted for so many rows, its `n_splits` set.
        spans: label → place of the class's first and last row, from 0, in the order that is split.
    """
    lacking = [
        (number, labels)
        for number, labels in enumerate(_untrained(splitter, row_count, spans), start=1)
        if labels
    ]
    if not lacking:
        return ""
    shown = "; ".join(
        f"split {number} without {_listed(labels)}" for number, labels in lacking[:_SHOWN_SPLITS]
    )
    more = f"; and {len(lacking) - _SHOWN_SPLITS} more" if len(lacking) > _SHOWN_SPLITS else ""
    advice = (
        "later rows bring classes that earlier ones have not; use fewer splits, or another splitter where"
        " rows have no order of time"
        if SPLITTERS[splitter.type].ordered
        else "rows stand in order of class; shuffle them, or use stratified_k_fold"
    )
    return (
        f"{CLASSES_NOT_TRAINED_ON}: {len(lacking)} of {splitter.n_splits} splits train without a class,"
        f" which some estimators refuse and none can predict: {shown}{more}; {advice}"
    )


def _untrained(
    splitter: Splitter, row_count: int, spans: Mapping[str, tuple[int, int]]
) -> Iterator[list[str]]:
    """Yields for each split the classes that its training part lacks."""
    count = splitter.n_splits or 0
    if splitter.type == "time_series_split":
        # scikit-learn's TimeSeriesSplit.
        tested = splitter.test_rows or row_count // (count + 1)
        for test in range(row_count - count * tested, row_count, tested):
            end = test - (splitter.gap or 0)
            start = 0 if splitter.max_train_rows is None else max(0, end - splitter.max_train_rows)
            yield [label for label, (first, last) in spans.items() if first >= end or last < start]
    elif splitter.type == "k_fold" and not splitter.shuffle:
        # scikit-learn's KFold: the first folds have one row more where they cannot be alike.
        start = 0
        for fold in range(count):
            stop = start + row_count // count + (fold < row_count % count)
            yield [label for label, (first, last) in spans.items() if start <= first <= last < stop]
            start = stop


def _listed(labels: list[str]) -> str:
    shown = ", ".join(f'"{each[:40]}"' for each in labels[:_SHOWN_LABELS])
    more = len(labels) - _SHOWN_LABELS
    return f"{shown} and {more} more" if more > 0 else shown

"""Splitters: how rows are split for cross-validation, named and set as scikit-learn's own are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

DEFAULT_REPEATS: Final = 10
DEFAULT_TEST_SIZE: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Splitter:
    """One of scikit-learn's splitters; settings that are None have scikit-learn's defaults.

    Attributes:
        type: its name in SPLITTERS.
        n_splits: folds, or splits, of one repeat; a plan's splitters that take it have it set.
        shuffle: shuffles the rows, seeded by the run's random_state, before they are cut into folds.
        n_repeats: repeats with other shuffles, ≥ 1.
        test_size: share of the rows that is tested, in (0, 1).
        gap: rows left out between training and test part, ≥ 0.
        max_train_rows: limit of the training part, ≥ 1.
        test_rows: rows of each test part, ≥ 1.
    """

    type: str
    n_splits: int | None = None
    shuffle: bool | None = None
    n_repeats: int | None = None
    test_size: float | None = None
    gap: int | None = None
    max_train_rows: int | None = None
    test_rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitterType:
    """What a type of splitter takes.

    Attributes:
        settings: the settings it has beside `n_splits`.
        stratified: keeps the shares of the classes, so that it needs classes.
        ordered: takes rows as a series in time.
        grouped: keeps rows of one group on one side.
        counted: takes `n_splits`; else the data say how many splits there are.
    """

    settings: frozenset[str]
    stratified: bool = False
    ordered: bool = False
    grouped: bool = False
    counted: bool = True


def _type(
    *settings: str,
    stratified: bool = False,
    ordered: bool = False,
    grouped: bool = False,
    counted: bool = True,
) -> SplitterType:
    return SplitterType(
        settings=frozenset(settings),
        stratified=stratified,
        ordered=ordered,
        grouped=grouped,
        counted=counted,
    )


SPLITTERS: Final[Mapping[str, SplitterType]] = MappingProxyType(
    {
        "k_fold": _type("shuffle"),
        "stratified_k_fold": _type("shuffle", stratified=True),
        "repeated_k_fold": _type("n_repeats"),
        "repeated_stratified_k_fold": _type("n_repeats", stratified=True),
        "shuffle_split": _type("test_size"),
        "stratified_shuffle_split": _type("test_size", stratified=True),
        "time_series_split": _type("gap", "max_train_rows", "test_rows", ordered=True),
        "group_k_fold": _type("shuffle", grouped=True),
        "stratified_group_k_fold": _type("shuffle", stratified=True, grouped=True),
        "leave_one_group_out": _type(grouped=True, counted=False),
        "predefined_split": _type(counted=False),
    }
)
"""Every type of splitter by name."""

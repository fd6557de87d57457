"""Checks of splitters against the rows they are to split, as scikit-learn makes them at a split."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Final

from services.core.class_order import untrained_notice
from services.core.naming import unknown_name
from services.core.splitting import (
    DEFAULT_REPEATS,
    DEFAULT_TEST_SIZE,
    SPLITTERS,
    Splitter,
    SplitterType,
)

_MAX_SPLITS: Final = 1_000
FOLDS_ABOVE_SMALLEST_CLASS: Final = "FOLDS_ABOVE_SMALLEST_CLASS"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldCheck:
    """What is wrong with a number of folds, and what people should know about it.

    Attributes:
        problem: why it is refused; empty when it is not.
        notice: `REASON: text` when it is accepted with a warning; empty otherwise.
    """

    problem: str = ""
    notice: str = ""


def check_folds(cv_folds: int, class_counts: Sequence[int], row_count: int) -> FoldCheck:
    """Checks a number of folds against the data, as scikit-learn's splitters do when they split.

    Args:
        class_counts: rows per class of a classification; empty for a regression.
    """
    if cv_folds < 2:
        return FoldCheck(problem=f"{cv_folds} is below 2; cross-validation needs two folds or more")
    if cv_folds > row_count:
        return FoldCheck(
            problem=f"{cv_folds} is above the {row_count} rows of the dataset; use {row_count} or "
            "fewer"
        )
    if class_counts and cv_folds > max(class_counts):
        return FoldCheck(
            problem=f"{cv_folds} is above the size of every class, of which the largest has "
            f"{max(class_counts)} rows; use {max(class_counts)} or fewer"
        )
    if class_counts and cv_folds > min(class_counts):
        return FoldCheck(
            notice=f"{FOLDS_ABOVE_SMALLEST_CLASS}: {cv_folds} folds are more than the "
            f"{min(class_counts)} rows of the smallest class, which some folds will lack"
        )
    return FoldCheck()


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFacts:
    """What is known of the rows that are to be split.

    Attributes:
        class_counts: rows per class; empty for a regression.
        class_spans: label → place of the class's first and last row, in the order of the time column where
            there is one, else of the file; empty where they are not known.
        in_time: whether there is a time column.
        group_count: groups of the dataset's group column; 0 without one.
        fold_count: tested folds of the dataset's fold column; 0 without one.
    """

    count: int
    class_counts: tuple[int, ...] = ()
    class_spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    in_time: bool = False
    group_count: int = 0
    fold_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitterCheck:
    """What came of checking a splitter.

    Attributes:
        problems: field of the splitter → why it is refused.
        notice: `REASON: text` for people; empty without one.
        split_count: splits each candidate is scored on; 0 when there are problems.
    """

    problems: Mapping[str, str]
    notice: str = ""
    split_count: int = 0


def check_splitter(splitter: Splitter, rows: RowFacts) -> SplitterCheck:
    """Checks a splitter, its `n_splits` set where it takes one, as scikit-learn does when it splits."""
    kind = SPLITTERS.get(splitter.type)
    if kind is None:
        problem = unknown_name("splitter", splitter.type, tuple(SPLITTERS))
        return SplitterCheck(problems={"type": problem})
    problems = dict(_foreign_settings(splitter, kind))
    problems |= dict(_range_problems(splitter, kind))
    if kind.stratified and not rows.class_counts:
        problems["type"] = (
            f'"{splitter.type}" keeps the shares of the classes, and the target is a number; use '
            f"{splitter.type.replace('stratified_', '')}"
        )
    if (missing := _missing_column(splitter, kind, rows)) is not None:
        problems["type"] = missing
    folds = _count_check(splitter, rows)
    if folds.problem:
        problems.setdefault("n_splits", folds.problem)
    if problems:
        return SplitterCheck(problems=problems)
    count = _base_count(splitter, rows) * _repeats(splitter)
    if count > _MAX_SPLITS:
        return SplitterCheck(
            problems={
                "n_repeats"
                if kind.counted
                else "type": f"gives {count:,} splits in all, above the limit of {_MAX_SPLITS:,}"
            }
        )
    notice = folds.notice
    # By time are sorted only those that keep its order; others take the rows as they stand.
    if kind.ordered or not rows.in_time:
        notice = notice or untrained_notice(splitter, rows.count, rows.class_spans)
    return SplitterCheck(problems={}, notice=notice, split_count=count)


def _missing_column(splitter: Splitter, kind: SplitterType, rows: RowFacts) -> str | None:
    if kind.grouped and not rows.group_count:
        return f'"{splitter.type}" needs groups, and the dataset has no group column; upload it with one'
    if splitter.type == "predefined_split" and not rows.fold_count:
        return (
            '"predefined_split" needs folds, and the dataset has no fold column; upload it with one'
        )
    return None


def _base_count(splitter: Splitter, rows: RowFacts) -> int:
    match splitter.type:
        case "leave_one_group_out":
            return rows.group_count
        case "predefined_split":
            return rows.fold_count
        case _:
            return splitter.n_splits or 0


def _repeats(splitter: Splitter) -> int:
    if "n_repeats" not in SPLITTERS[splitter.type].settings:
        return 1
    return DEFAULT_REPEATS if splitter.n_repeats is None else splitter.n_repeats


def _foreign_settings(splitter: Splitter, kind: SplitterType) -> Iterator[tuple[str, str]]:
    for each in fields(splitter):
        name = each.name
        if name == "type" or name in kind.settings or getattr(splitter, name) is None:
            continue
        if name != "n_splits":
            owners = [key for key, other in SPLITTERS.items() if name in other.settings]
            yield (
                name,
                f'is no setting of "{splitter.type}"; leave it out, or use {" or ".join(owners)}',
            )
        elif not kind.counted:
            yield (
                name,
                f'is no setting of "{splitter.type}": the data say how many splits there are',
            )


def _range_problems(splitter: Splitter, kind: SplitterType) -> Iterator[tuple[str, str]]:
    lowest = {"n_repeats": 1, "gap": 0, "max_train_rows": 1, "test_rows": 1}
    for name, low in lowest.items():
        value = getattr(splitter, name)
        if name in kind.settings and value is not None and value < low:
            yield name, f"{value} is below {low}"
    share = splitter.test_size
    # Also what is no number at all.
    if "test_size" in kind.settings and share is not None and not 0.0 < share < 1.0:
        yield "test_size", f"{share} is outside (0, 1); it is the share of the rows that is tested"


def _count_check(splitter: Splitter, rows: RowFacts) -> FoldCheck:
    count = splitter.n_splits or 0
    kind = SPLITTERS[splitter.type]
    if not kind.counted:
        return FoldCheck()
    if kind.grouped and rows.group_count and count > rows.group_count:
        return FoldCheck(
            problem=f"{count} is above the {rows.group_count} groups of the dataset; use "
            f"{rows.group_count} or fewer"
        )
    if "test_size" in kind.settings:
        return FoldCheck(problem=_shuffle_problem(splitter, rows))
    if kind.ordered:
        return FoldCheck(problem=_series_problem(splitter, rows))
    classes = rows.class_counts if kind.stratified else ()
    return check_folds(count, classes, rows.count)


def _shuffle_problem(splitter: Splitter, rows: RowFacts) -> str:
    count = splitter.n_splits or 0
    if not 2 <= count <= _MAX_SPLITS:
        return f"{count} is outside 2 to {_MAX_SPLITS:,} splits"
    share = DEFAULT_TEST_SIZE if splitter.test_size is None else splitter.test_size
    if not 0.0 < share < 1.0:
        return ""
    tested = math.ceil(share * rows.count)
    trained = rows.count - tested
    if trained < 1:
        return f"a test_size of {share} leaves no row of {rows.count} to train on; lower it"
    if splitter.type != "stratified_shuffle_split" or not rows.class_counts:
        return ""
    classes = len(rows.class_counts)
    if min(rows.class_counts) < 2:
        return "the smallest class has one row; each needs one to train on and one to test"
    if min(tested, trained) < classes:
        return (
            f"a test_size of {share} gives {trained} rows to train on and {tested} to test, and "
            f"there are {classes} classes; each part needs a row of every class"
        )
    return ""


def _series_problem(splitter: Splitter, rows: RowFacts) -> str:
    count = splitter.n_splits or 0
    if count < 2:
        return f"{count} is below 2; cross-validation needs two splits or more"
    if count + 1 > rows.count:
        return f"{count} splits need {count + 1} rows, and the dataset has {rows.count}"
    tested = rows.count // (count + 1) if splitter.test_rows is None else splitter.test_rows
    gap = splitter.gap or 0
    if tested >= 1 and gap >= 0 and rows.count - gap - tested * count <= 0:
        return (
            f"{count} splits of {tested} rows after a gap of {gap} leave no row of {rows.count} to "
            "train on; lower n_splits, test_rows or gap"
        )
    return ""

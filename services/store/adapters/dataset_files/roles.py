"""Columns of an upload that have a role: groups, time, weights and folds, checked and in canonical types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from services.core.dataset_roles import DatasetRoles
from services.core.objective import Task
from services.core.violations import Violations
from services.store.adapters.dataset_files.columns import canonical_column


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleColumns:
    """Role → Arrow array of all rows, without missing values, and what it comes to.

    Attributes:
        group_count: groups; 0 without a group column.
        fold_count: folds that are tested; 0 without a fold column.
    """

    arrays: Mapping[str, Any] = field(default_factory=dict)
    group_count: int = 0
    fold_count: int = 0


NO_ROLE_COLUMNS: Final = RoleColumns()

_MAX_FOLD = 2**53


def read_roles(table: Any, roles: DatasetRoles, *, target_column: str) -> RoleColumns:
    """Takes the columns with a role out of a table.

    Raises: InvalidRequest: a column is missing, has two roles, or holds what its role cannot take;
        every violation is listed.
    """
    found = Violations()
    arrays: dict[str, Any] = {}
    taken = {target_column: "the target"}
    for role, column in roles.columns.items():
        place = f"header.roles.{role}_column"
        if column not in table.schema.names:
            found.add(place, f"there is no column {column!r}")
        elif column in taken:
            found.add(place, f"{column!r} is {taken[column]} already; a column has one role")
        elif table.schema.names.count(column) == 1:
            taken[column] = f"the {role} column"
            array, problem = _checked(table.column(column), _READERS[role])
            if problem:
                found.add(place, f"{column!r} {problem}")
            else:
                arrays[role] = array
    found.raise_if_any()
    return RoleColumns(
        arrays=arrays,
        group_count=pc.count_distinct(arrays["group"]).as_py() if "group" in arrays else 0,
        fold_count=len(_tested(arrays["fold"])) if "fold" in arrays else 0,
    )


def check_positive_label(found: Violations, label: str, *, target: Any, task: Task) -> None:
    """Checks that a positive label is one of two classes."""
    if not label:
        return
    place = "header.roles.positive_label"
    if task is not Task.CLASSIFICATION:
        found.add(place, f'is "{label}", and the target is a number; leave it out')
        return
    classes = sorted(str(each) for each in pc.unique(target).to_pylist())
    if len(classes) != 2:
        found.add(place, f"needs two classes, and there are {len(classes)}; leave it out")
    elif label not in classes:
        listed = " and ".join(f'"{each}"' for each in classes)
        found.add(place, f'"{label}" is no class; the classes are {listed}')


def _checked(column: Any, read: Callable[[Any], tuple[Any, str]]) -> tuple[Any, str]:
    if pa.types.is_temporal(column.type):
        array: Any | None = column
    else:
        array = canonical_column(column)
    if array is None:
        return None, f"has type {column.type}; columns are numbers, booleans or strings"
    missing = array.null_count
    if pa.types.is_floating(array.type):
        missing += pc.sum(pc.is_nan(array)).as_py() or 0
    if missing:
        return None, f"is missing in {missing} of {len(array)} rows"
    try:
        return read(array)
    except pa.ArrowException as error:
        return None, f"holds values that cannot be used as that: {str(error).splitlines()[0][:200]}"


def _group(array: Any) -> tuple[Any, str]:
    if pa.types.is_temporal(array.type):
        array = array.cast(pa.string())
    if pc.count_distinct(array).as_py() < 2:
        return None, "has one value only; groups need two"
    return array, ""


def _time(array: Any) -> tuple[Any, str]:
    if pa.types.is_temporal(array.type):
        if pa.types.is_date(array.type):
            array = array.cast(pa.timestamp("us"))
        if pa.types.is_time32(array.type):
            # Arrow makes no wide integers of it at once.
            array = array.cast(pa.int32())
        return array.cast(pa.int64()), ""
    if pa.types.is_string(array.type) or pa.types.is_boolean(array.type):
        return None, (
            "is neither a number nor a date; write dates as 2024-05-31 or 2024-05-31T12:00:00"
        )
    return array, ""


def _weight(array: Any) -> tuple[Any, str]:
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
        return None, "is not a number; weights are numbers from 0 on"
    array = array.cast(pa.float64(), safe=False)
    if not pc.all(pc.is_finite(array)).as_py():
        return None, "holds infinite weights"
    negative = pc.sum(pc.less(array, 0.0)).as_py() or 0
    if negative:
        return None, f"is negative in {negative} of {len(array)} rows; weights are 0 or more"
    if pc.sum(array).as_py() == 0.0:
        return None, "is 0 in every row; some weight must be above 0"
    return array, ""


def _fold(array: Any) -> tuple[Any, str]:
    if pa.types.is_floating(array.type) and pc.all(pc.equal(pc.floor(array), array)).as_py():
        if not pc.max(pc.abs(array)).as_py() < _MAX_FOLD:
            return (
                None,
                "holds numbers far beyond any fold's; folds count from 0, and -1 is never tested",
            )
        array = array.cast(pa.int64())
    if not pa.types.is_integer(array.type):
        return None, "is no whole number; folds count from 0, and -1 is never tested"
    if pc.min(array).as_py() < -1:
        return None, f"holds {pc.min(array).as_py()}; folds count from 0, and -1 is never tested"
    if pc.count_distinct(array).as_py() < 2:
        return None, "has one value only; there is nothing to train on beside what is tested"
    return array, ""


def _tested(folds: Any) -> list[int]:
    return [each for each in pc.unique(folds).to_pylist() if each >= 0]


_READERS: Final[Mapping[str, Callable[[Any], tuple[Any, str]]]] = MappingProxyType(
    {"group": _group, "time": _time, "weight": _weight, "fold": _fold}
)

"""Uploaded CSV and Parquet files: read, checked, every violation found at once."""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from services.core.errors import FieldViolation, InvalidRequest
from services.core.objective import Task
from services.core.violations import NO_NUL, Violations
from services.store.adapters.dataset_files.columns import canonical_column
from services.store.adapters.dataset_files.describing import (
    check_classes,
    check_columns,
    columns_of_header,
)
from services.store.adapters.dataset_files.parquet import read_parquet
from services.store.ports.results import DatasetFormat

_PARQUET_MAGIC = b"PAR1"
_MAX_LISTED = 20
# A whole-number target with more distinct values than this is a quantity unless told otherwise.
_FEW_VALUES = 20
# What pandas.read_csv reads as missing.
_NULLS = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
]  # fmt: skip


def read_table(
    path: Path,
    file_format: DatasetFormat,
    *,
    found: Violations,
    max_bytes: int,
    time_column: str = "",
) -> Any:
    """Reads a file as an Arrow table, in the format that it has.

    Args:
        file_format: what it is said to be; adds to `found` where that is not so.
        max_bytes: of the dataset it is to become.
        time_column: keeps its dates and times; those of other columns are text in CSV.

    Raises: InvalidRequest: it is empty, too large, or cannot be read; ragged rows are named by number.
    """
    with path.open("rb") as file:
        head = file.read(4)
    if not head:
        raise _invalid("chunk", "the file is empty")
    is_parquet = head == _PARQUET_MAGIC
    if file_format is DatasetFormat.PARQUET and not is_parquet:
        found.add("header.format", "the file is no Parquet file: it does not begin with PAR1")
    if file_format is DatasetFormat.CSV and is_parquet:
        found.add("header.format", "the file is a Parquet file, not CSV")
    table = read_parquet(path, max_bytes=max_bytes) if is_parquet else _read_csv(path, time_column)
    names = table.schema.names
    check_columns(len(names), sum(len(each.encode()) for each in names))
    return table


def without_index(table: Any, *, keep: Collection[str]) -> Any:
    """Leaves out the columns in which pandas keeps the index of a frame: to who wrote it they are no columns.

    Args:
        keep: columns of an index that stay, as they are asked for by name.
    """
    # Written beside the columns by `DataFrame.to_parquet` wherever rows were sorted, drawn or left out.
    with suppress(ValueError, TypeError, KeyError):
        described = (table.schema.pandas_metadata or {})["index_columns"]
        # A range of numbers is described, and takes no column.
        index = {each for each in described if isinstance(each, str)} - set(keep)
        return table.select([each for each in table.schema.names if each not in index])
    return table


def _read_csv(path: Path, time_column: str) -> Any:
    _check_utf8(path)
    check_columns(columns_of_header(path))
    ragged: list[FieldViolation] = []

    def on_ragged(row: Any) -> str:
        if len(ragged) < _MAX_LISTED:
            ragged.append(
                FieldViolation(
                    field=f"chunk (row {row.number})",
                    description=f"has {row.actual_columns} values, the header has"
                    f" {row.expected_columns}",
                )
            )
        return "skip"

    def read(types: dict[str, Any]) -> Any:
        ragged.clear()
        return pyarrow.csv.read_csv(
            str(path),
            # Row numbers of ragged rows are known to a single reader only.
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=16 * 1024 * 1024),
            parse_options=pyarrow.csv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=on_ragged
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                null_values=_NULLS,
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                column_types=types,
            ),
        )

    try:
        table = read({})
        # Dates and times are categories to an estimator: they stay the text they are in the file.
        texts = {
            each.name: pa.string()
            for each in table.schema
            if (pa.types.is_temporal(each.type) and each.name != time_column)
            or pa.types.is_binary(each.type)
        }
        if texts:
            table = read(texts)
    except pa.ArrowException as error:
        if "Empty CSV" in str(error):
            raise _invalid("chunk", "the file has no rows") from error
        raise _invalid("chunk", f"the CSV file cannot be read: {_first_line(error)}") from error
    if ragged:
        raise InvalidRequest(ragged)
    return table


def _check_utf8(path: Path) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    position = 0
    with path.open("rb") as file:
        try:
            while block := file.read(1 << 20):
                decoder.decode(block)
                position += len(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise _invalid(
                "chunk", f"is not UTF-8 at about byte {position + error.start}"
            ) from error


def split_table(
    found: Violations,
    table: Any,
    *,
    target_column: str,
    task: Task | None,
    beside: Collection[str] = (),
) -> tuple[dict[str, Any], Any | None, Task]:
    """Splits a table into features and target, in canonical types; what is wrong is gathered.

    Args:
        beside: columns that are neither.

    Returns: name → feature column in order, target column, task (inferred when None). The target is None
        where something is wrong with it.
    """
    names: list[str] = table.schema.names
    for each in _name_violations(names, target_column, beside):
        found.add(each.field, each.description)
    if table.num_rows == 0:
        found.add("chunk", "the file has no rows")
    features: dict[str, Any] = {}
    for name, column in zip(names, table.columns, strict=True):
        if name == target_column or name in beside:
            continue
        converted = canonical_column(column)
        if converted is None:
            found.add(
                f"column {name!r}",
                f"has type {column.type}; columns are numbers, booleans or strings",
            )
        else:
            features[name] = converted
    if names.count(target_column) != 1 or table.num_rows == 0:
        return features, None, task or Task.REGRESSION
    target, found_task, problems = _target(table.column(target_column), task)
    for each in problems:
        found.add(each.field, each.description)
    return features, None if problems else target, found_task


def _name_violations(
    names: list[str], target_column: str, beside: Collection[str]
) -> Iterable[FieldViolation]:
    seen: set[str] = set()
    for place, name in enumerate(names):
        if not name.strip():
            yield FieldViolation(
                field=f"column {place + 1}", description="has no name in the header"
            )
        elif name in seen:
            yield FieldViolation(field=f"column {name!r}", description="appears more than once")
        elif "\0" in name:
            yield FieldViolation(field=f"column {name!r}", description=f"its name {NO_NUL}")
        seen.add(name)
    if not target_column:
        # What it is missing is said of the header already.
        return
    if target_column not in names:
        listed = ", ".join(repr(name) for name in names[:_MAX_LISTED])
        more = "" if len(names) <= _MAX_LISTED else f" and {len(names) - _MAX_LISTED} more"
        yield FieldViolation(
            field="header.target_column",
            description=f"there is no column {target_column!r}; the columns are {listed}{more}",
        )
    elif len(names) == 1:
        yield FieldViolation(
            field="header.target_column", description="the target is the only column"
        )
    elif all(name == target_column or name in beside for name in names):
        yield FieldViolation(
            field="header.roles", description="no column is left as a feature beside them"
        )


def _target(column: Any, task: Task | None) -> tuple[Any, Task, list[FieldViolation]]:
    target = canonical_column(column)
    field = "header.target_column"
    if target is None:
        return (
            column,
            Task.REGRESSION,
            [FieldViolation(field=field, description=f"the target has type {column.type}")],
        )
    missing = target.null_count
    if pa.types.is_floating(target.type):
        missing += pc.sum(pc.is_nan(target)).as_py() or 0
    if missing:
        text = f"the target is missing in {missing} of {len(target)} rows"
        return target, Task.REGRESSION, [FieldViolation(field=field, description=text)]
    if pa.types.is_floating(target.type) and not pc.all(pc.is_finite(target)).as_py():
        text = "the target holds infinite values"
        return target, Task.REGRESSION, [FieldViolation(field=field, description=text)]
    if task is None:
        task = _inferred(target)
    if task is Task.REGRESSION:
        return _regression_target(target)
    return _classification_target(target)


def _inferred(target: Any) -> Task:
    if pa.types.is_string(target.type) or pa.types.is_boolean(target.type):
        return Task.CLASSIFICATION
    distinct = pc.count_distinct(target).as_py()
    few = distinct <= _FEW_VALUES
    return Task.CLASSIFICATION if few and _is_whole(target) else Task.REGRESSION


def _is_whole(target: Any) -> bool:
    if not pa.types.is_floating(target.type):
        return True
    whole: bool = pc.all(pc.equal(pc.floor(target), target)).as_py()
    limit: float = pc.max(pc.abs(target)).as_py()
    return whole and limit < 2**53


def _regression_target(target: Any) -> tuple[Any, Task, list[FieldViolation]]:
    if pa.types.is_string(target.type) or pa.types.is_boolean(target.type):
        kind = "text" if pa.types.is_string(target.type) else "boolean"
        violation = FieldViolation(
            field="header.task",
            description=f"is regression, but the target is {kind}; a regression predicts a number",
        )
        return target, Task.REGRESSION, [violation]
    # Whole numbers beyond 2^53 become the floats nearest to them, as scikit-learn makes them.
    return target.cast(pa.float64(), safe=False), Task.REGRESSION, []


def _classification_target(target: Any) -> tuple[Any, Task, list[FieldViolation]]:
    if pa.types.is_floating(target.type):
        if not _is_whole(target):
            violation = FieldViolation(
                field="header.task",
                description="is classification, but the target holds fractions; classes are whole"
                " numbers, booleans or text",
            )
            return target, Task.CLASSIFICATION, [violation]
        target = target.cast(pa.int64())
    classes = pc.unique(target)
    if len(classes) < 2:
        violation = FieldViolation(
            field="header.target_column",
            description=f"the target has one class only ({classes[0].as_py()!r}); a classification"
            " needs two",
        )
        return target, Task.CLASSIFICATION, [violation]
    if problem := check_classes(classes, rows=len(target)):
        return (
            target,
            Task.CLASSIFICATION,
            [FieldViolation(field="header.target_column", description=problem)],
        )
    return target, Task.CLASSIFICATION, []


def _invalid(field: str, description: str) -> InvalidRequest:
    return InvalidRequest([FieldViolation(field=field, description=description)])


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__

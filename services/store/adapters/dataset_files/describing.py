"""How much a dataset's description may hold: clients that set no limit of their own take 4 MiB."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc

from services.core.errors import FieldViolation, InvalidRequest
from services.core.violations import NO_NUL

MAX_COLUMNS: Final = 50_000
MAX_NAME_BYTES: Final = 1024 * 1024
"""UTF-8 bytes of all columns' names together."""

MAX_CLASSES: Final = 10_000
MAX_LABEL_BYTES: Final = 1024 * 1024
"""UTF-8 bytes of all classes' labels together."""

_QUOTED = re.compile(rb'"[^"]*"')
_MAX_HEADER_BYTES = 4 * MAX_NAME_BYTES


def columns_of_header(path: Path) -> int:
    """Counts the columns of a CSV file by its first line, before anything is made for each of them."""
    with path.open("rb") as file:
        first = file.readline(_MAX_HEADER_BYTES)
    return _QUOTED.sub(b"", first).count(b",") + 1


def check_columns(count: int, name_bytes: int = 0) -> None:
    """Checks how many columns there are.

    Args:
        name_bytes: of all names together.

    Raises: InvalidRequest: there are too many to be described, or to be looked at one by one.
    """
    problem = ""
    if count > MAX_COLUMNS:
        problem = f"has {count:,} columns, at most {MAX_COLUMNS:,} are allowed; leave some out"
    elif name_bytes > MAX_NAME_BYTES:
        problem = (
            f"has columns whose names take {name_bytes:,} bytes together, at most {MAX_NAME_BYTES:,} are"
            " allowed; give shorter ones"
        )
    if problem:
        raise InvalidRequest([FieldViolation(field="chunk", description=f"the file {problem}")])


def check_classes(classes: Any, *, rows: int) -> str:
    """Says what is wrong with the number of classes; empty when nothing is.

    Args:
        classes: Arrow array of the distinct labels.
    """
    advice = "is it an id or a free text? name another target"
    if len(classes) > MAX_CLASSES:
        return (
            f"the target has {len(classes):,} classes in {rows:,} rows, at most {MAX_CLASSES:,} are"
            f" allowed; {advice}, or say that the task is regression where it is a quantity"
        )
    if str(classes.type) != "string":
        return ""
    if pc.any(pc.match_substring(classes, "\0")).as_py():
        return f"one of the target's classes {NO_NUL}"
    label_bytes = pc.sum(pc.binary_length(classes)).as_py() or 0
    if label_bytes > MAX_LABEL_BYTES:
        return (
            f"the labels of the target's classes take {label_bytes:,} bytes together, at most"
            f" {MAX_LABEL_BYTES:,} are allowed; {advice}"
        )
    return ""

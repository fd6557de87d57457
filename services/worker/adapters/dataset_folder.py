"""The files a dataset is kept in on a worker's machine: written once, memory-mapped by every child.

`X.npy` and `y.npy` for numeric data; `data.arrow` and `y.npy` when there are text columns; `columns.json` beside,
and `ROLE.npy` for each column with a role.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import ipc

from services.worker.ports import DatasetError

Features: TypeAlias = Any  # numpy array or pandas DataFrame, as scikit-learn takes either

_FORMAT = 1
_COLUMNS = "columns.json"
_FEATURES = "X.npy"
_TARGET = "y.npy"
_FRAME = "data.arrow"
_TASK_KEY = b"crescendo.task"
_TARGET_KEY = b"crescendo.target"
_ROLE_KEY = b"crescendo.role."
_POSITIVE_KEY = b"crescendo.positive_label"
_ROLES = ("group", "time", "weight", "fold")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TabularData:
    """What an estimator sees.

    Attributes:
        features: without text columns a C-contiguous, read-only float64 array, shape
            (n_rows, n_columns), nulls NaN; else a DataFrame.
        target: int64, bool or str labels, or float64; shape (n_rows,).
        numeric: names of the numeric and boolean columns.
        categorical: names of the text columns.
        roles: role (`group`, `time`, `weight`, `fold`) → the values of its column, shape (n_rows,).
        positive_label: the class, as text, that metrics of two classes take as positive; empty where
            the dataset names none.
    """

    features: Features
    target: npt.NDArray[Any]
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    roles: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    positive_label: str = ""


def write_folder(source: Path, folder: Path) -> None:
    """Turns a dataset's Arrow file into the files children map.

    Args:
        source: the Arrow file; it is moved or deleted.
        folder: exists, and is nobody else's yet.

    Raises: DatasetError: the file is not a dataset's.
    """
    with pa.memory_map(str(source)) as mapped:
        table = _read_table(mapped)
        names = _feature_names(table)
        text = [name for name in names if _is_text(table.schema.field(name).type)]
        metadata = table.schema.metadata
        roles = _roles(table)
        _save(folder / _TARGET, _values(table.column(_target_name(table))))
        for role, column in roles.items():
            _save(folder / f"{role}.npy", _values(table.column(column)))
        if not text:
            _save(folder / _FEATURES, _matrix(table, names))
        del table
    if text:
        source.replace(folder / _FRAME)
    else:
        source.unlink()
    description = {
        "format": _FORMAT,
        "numeric": [name for name in names if name not in text],
        "categorical": text,
        "roles": sorted(roles),
        "positive_label": metadata.get(_POSITIVE_KEY, b"").decode(),
    }
    _write_durably(folder / _COLUMNS, json.dumps(description).encode())


def read_folder(folder: Path) -> TabularData:
    """Maps a dataset's files into memory.

    Raises: OSError, ValueError: the folder is gone or damaged.
    """
    description = json.loads((folder / _COLUMNS).read_bytes())
    if description["format"] != _FORMAT:
        raise ValueError(f"dataset folder format {description['format']}, not {_FORMAT}")
    target = _load(folder / _TARGET)
    categorical = tuple(description["categorical"])
    if categorical:
        with pa.memory_map(str(folder / _FRAME)) as mapped:
            table = _read_table(mapped)
        features: Features = table.select(_feature_names(table)).to_pandas()
    else:
        features = _load(folder / _FEATURES)
    return TabularData(
        features=features,
        target=target,
        numeric=tuple(description["numeric"]),
        categorical=categorical,
        # Folders from before there were roles name none.
        roles={role: _load(folder / f"{role}.npy") for role in description.get("roles", ())},
        positive_label=description.get("positive_label", ""),
    )


def _read_table(mapped: Any) -> Any:
    try:
        table = ipc.open_file(mapped).read_all()
    except pa.ArrowException as error:
        raise DatasetError(f"not an Arrow file: {error}") from error
    metadata = table.schema.metadata or {}
    if _TASK_KEY not in metadata or _TARGET_KEY not in metadata:
        raise DatasetError("the Arrow file does not say what its target and task are")
    target = metadata[_TARGET_KEY].decode()
    expected = [target, *_roles(table).values()]
    if len(table.schema.names) <= len(expected) or table.schema.names[-len(expected) :] != expected:
        raise DatasetError(f"the columns of the Arrow file do not end with {expected}")
    return table


def _roles(table: Any) -> dict[str, str]:
    """Role → column, in the order the columns are stored behind the target."""
    metadata = table.schema.metadata
    keys = {role: _ROLE_KEY + role.encode() for role in _ROLES}
    return {role: metadata[key].decode() for role, key in keys.items() if key in metadata}


def _target_name(table: Any) -> str:
    name: str = table.schema.metadata[_TARGET_KEY].decode()
    return name


def _feature_names(table: Any) -> list[str]:
    names: list[str] = table.schema.names
    return names[: names.index(_target_name(table))]


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _values(column: Any) -> npt.NDArray[Any]:
    if _is_text(column.type):
        # Fixed-width text: object arrays could only be stored as pickles.
        return np.array(column.to_pylist(), dtype=np.str_)
    values: npt.NDArray[Any] = column.to_numpy()
    return values


def _matrix(table: Any, names: list[str]) -> npt.NDArray[np.float64]:
    matrix = np.empty((table.num_rows, len(names)), dtype=np.float64)
    for index, name in enumerate(names):
        # Unsafe for whole numbers past 2^53 only: they round as numpy's own conversion does.
        column = table.column(name).cast(pa.float64(), safe=False)
        matrix[:, index] = column.to_numpy()
    return matrix


def _load(path: Path) -> npt.NDArray[Any]:
    # As plain arrays: numpy's memmap class slows every operation down, and the mapping is the same.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

"""Canonical datasets: one uncompressed Arrow IPC file, the same bytes for the same content."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.core.dataset_roles import NO_ROLES, DatasetRoles
from services.core.objective import Task
from services.store.adapters.dataset_files.roles import NO_ROLE_COLUMNS, RoleColumns
from services.store.ports.catalogue import CanonicalDataset
from services.store.ports.results import Column, DatasetSummary

_TYPE_NAMES = {pa.float64(): "float", pa.int64(): "int", pa.bool_(): "bool", pa.string(): "string"}


@contextmanager
def written(
    features: dict[str, Any],
    target: Any,
    *,
    target_column: str,
    task: Task,
    roles: DatasetRoles = NO_ROLES,
    role_columns: RoleColumns = NO_ROLE_COLUMNS,
) -> Iterator[CanonicalDataset]:
    """Writes columns as a canonical file, which is removed at the end.

    Args:
        features: name → Arrow array of float64, int64, bool or string, in order.
        target: Arrow array without nulls: int64, bool or string for classification, else float64.
        role_columns: those of `roles`; they are stored behind the target, where a worker that knows no
            roles refuses the file instead of taking them for features.
    """
    columns = {name: _plain(each) for name, each in features.items()}
    target = _plain(target)
    beside = {roles.columns[role]: _plain(each) for role, each in role_columns.arrays.items()}
    schema = pa.schema(
        [
            *(pa.field(name, each.type) for name, each in columns.items()),
            pa.field(target_column, target.type, nullable=False),
            *(pa.field(name, each.type, nullable=False) for name, each in beside.items()),
        ],
        metadata={
            b"crescendo.task": task.value.encode(),
            b"crescendo.target": target_column.encode(),
            **_role_metadata(roles),
        },
    )
    # One record batch: its layout depends on the content alone, hence the hash too.
    batch = pa.record_batch([*columns.values(), target, *beside.values()], schema=schema)
    with tempfile.TemporaryDirectory(prefix="crescendo-dataset-") as folder:
        path = Path(folder) / "canonical.arrow"
        with pa.ipc.new_file(str(path), schema) as writer:
            writer.write_batch(batch)
        yield CanonicalDataset(
            path=path,
            summary=DatasetSummary(
                task=task,
                target_column=target_column,
                row_count=len(target),
                columns=tuple(
                    Column(
                        name=name, type=_TYPE_NAMES[each.type], missing_count=_missing_count(each)
                    )
                    for name, each in columns.items()
                ),
                classes=_classes(target) if task is Task.CLASSIFICATION else (),
                content_hash=_hash_of(path),
                size_bytes=path.stat().st_size,
                roles=roles,
                group_count=role_columns.group_count,
                fold_count=role_columns.fold_count,
                class_spans=(
                    _spans(target, role_columns.arrays.get("time"))
                    if task is Task.CLASSIFICATION
                    else ()
                ),
            ),
        )


def _role_metadata(roles: DatasetRoles) -> dict[bytes, bytes]:
    # Nothing without roles: the bytes of such a dataset, and their hash, stay what they were.
    metadata = {
        f"crescendo.role.{role}".encode(): column.encode() for role, column in roles.columns.items()
    }
    if roles.positive_label:
        metadata[b"crescendo.positive_label"] = roles.positive_label.encode()
    return metadata


def _plain(column: Any) -> Any:
    """Gives one array whose bytes depend on its values alone: what lies beneath nulls is zeroed."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if array.null_count == 0:
        # Concatenating drops offsets, spare bytes and a mask without holes.
        return pa.Array.from_buffers(array.type, len(array), [None, *_fresh(array).buffers()[1:]])
    mask = pc.is_null(array).to_numpy(zero_copy_only=False)
    if pa.types.is_string(array.type):
        return pa.array(array.to_pylist(), type=pa.string())
    filled = pc.fill_null(array, pa.scalar(0, type=pa.int64()).cast(array.type))
    return pa.array(filled.to_numpy(zero_copy_only=False), type=array.type, mask=mask)


def _fresh(array: Any) -> Any:
    return (
        pa.concat_arrays([array])
        if array.offset == 0
        else pc.take(array, pa.array(range(len(array)), type=pa.int64()))
    )


def _missing_count(array: Any) -> int:
    missing: int = array.null_count
    if pa.types.is_floating(array.type):
        missing += pc.sum(pc.is_nan(array)).as_py() or 0
    return missing


def _classes(target: Any) -> tuple[tuple[str, int], ...]:
    counted = pc.value_counts(target)
    pairs = [(each["values"].as_py(), each["counts"].as_py()) for each in counted]
    return tuple((str(label), count) for label, count in sorted(pairs))


def _spans(target: Any, time: Any | None) -> tuple[tuple[int, int], ...]:
    """Finds the first and last row of each class, in the order of `_classes`, as a split by time sorts them."""
    labels = sorted(pc.unique(target).to_pylist())
    codes = pc.index_in(target, value_set=pa.array(labels, type=target.type)).to_numpy()
    if time is not None:
        codes = codes[np.argsort(time.to_numpy(), kind="stable")]
    _, first = np.unique(codes, return_index=True)
    _, behind = np.unique(codes[::-1], return_index=True)
    last = len(codes) - 1 - behind
    return tuple(zip(first.tolist(), last.tolist(), strict=True))


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

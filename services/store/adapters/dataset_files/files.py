"""Turns uploaded files and scikit-learn's own datasets into canonical datasets."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from services.core.dataset_roles import DatasetRoles
from services.core.errors import FieldViolation, InvalidRequest
from services.core.objective import Task
from services.core.violations import Violations
from services.store.adapters.dataset_files.canonical import written
from services.store.adapters.dataset_files.parsing import read_table, split_table, without_index
from services.store.adapters.dataset_files.roles import check_positive_label, read_roles
from services.store.ports.catalogue import CanonicalDataset
from services.store.ports.results import DatasetFormat

# Built-in id → the loader in sklearn.datasets, and what its target is.
_BUILT_IN = {
    "sklearn:breast_cancer": ("load_breast_cancer", Task.CLASSIFICATION),
    "sklearn:diabetes": ("load_diabetes", Task.REGRESSION),
    "sklearn:digits": ("load_digits", Task.CLASSIFICATION),
    "sklearn:iris": ("load_iris", Task.CLASSIFICATION),
    "sklearn:wine": ("load_wine", Task.CLASSIFICATION),
}


class ArrowDatasetFiles:
    """Reads files with Arrow; the port says what each method promises."""

    @contextmanager
    def parsed(
        self,
        path: Path,
        *,
        found: Violations,
        file_format: DatasetFormat,
        target_column: str,
        task: Task | None,
        roles: DatasetRoles,
        max_bytes: int,
    ) -> Iterator[CanonicalDataset]:
        """Reads an uploaded file."""
        table = None
        with found.gathered():
            table = read_table(
                path,
                file_format,
                found=found,
                max_bytes=max_bytes,
                time_column=roles.time_column,
            )
        if table is None:
            found.raise_if_any()
        named = set(roles.columns.values())
        table = without_index(table, keep={target_column, *named})
        features, target, found_task = split_table(
            found,
            table,
            target_column=target_column,
            task=task,
            beside=named,
        )
        if target is not None:
            check_positive_label(found, roles.positive_label, target=target, task=found_task)
        with found.gathered():
            role_columns = read_roles(table, roles, target_column=target_column)
        found.raise_if_any()
        with written(
            features,
            target,
            target_column=target_column,
            task=found_task,
            roles=roles,
            role_columns=role_columns,
        ) as canonical:
            size = canonical.summary.size_bytes
            if size > max_bytes:
                raise InvalidRequest(
                    [
                        FieldViolation(
                            field="chunk",
                            description=f"the table takes {size} bytes in memory, the limit is"
                            f" {max_bytes}",
                        )
                    ]
                )
            yield canonical

    @contextmanager
    def built_in(self, dataset_id: str) -> Iterator[CanonicalDataset]:
        """Makes a built-in dataset; its values are exactly the loader's."""
        loader, task = _BUILT_IN[dataset_id]
        # Imported when first asked for: a store that serves uploads only never loads scikit-learn.
        bunch = getattr(importlib.import_module("sklearn.datasets"), loader)()
        features = {
            str(name): pa.array(bunch.data[:, place].astype("float64"))
            for place, name in enumerate(bunch.feature_names)
        }
        kind = pa.int64() if task is Task.CLASSIFICATION else pa.float64()
        target = pa.array(bunch.target, type=kind)
        with written(features, target, target_column="target", task=task) as canonical:
            yield canonical

    def built_in_ids(self) -> Sequence[str]:
        """Lists the built-in datasets' ids."""
        return tuple(_BUILT_IN)

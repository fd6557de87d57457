"""The index of a frame is no column of it, though Parquet files of pandas hold both side by side."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from services.core.dataset_roles import NO_ROLES, DatasetRoles
from services.core.violations import Violations
from services.store.adapters.dataset_files.files import ArrowDatasetFiles
from services.store.ports.catalogue import CanonicalDataset
from services.store.ports.results import DatasetFormat, DatasetSummary

FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [4, 3, 2, 1], "label": [0, 1, 0, 1]})


def _summary(
    frame: pd.DataFrame, folder: Path, *, target: str = "label", roles: DatasetRoles = NO_ROLES
) -> DatasetSummary:
    path = folder / "frame.parquet"
    frame.to_parquet(path)
    parsed = ArrowDatasetFiles().parsed(
        path,
        found=Violations(),
        file_format=DatasetFormat.DETECT,
        target_column=target,
        task=None,
        roles=roles,
        max_bytes=1 << 20,
    )
    with parsed as canonical:
        assert isinstance(canonical, CanonicalDataset)
        return canonical.summary


@pytest.mark.parametrize(
    "frame",
    [
        FRAME,
        FRAME.iloc[[3, 1, 0, 2]],
        FRAME.iloc[[3, 1, 0, 2]].rename_axis("row"),
        FRAME.set_index(pd.MultiIndex.from_arrays([[1, 1, 2, 2], [1, 2, 1, 2]])),
    ],
    ids=["numbered", "shuffled", "named", "two levels"],
)
def test_the_features_are_the_columns_of_the_frame(frame: pd.DataFrame, tmp_path: Path) -> None:
    assert [each.name for each in _summary(frame, tmp_path).columns] == ["a", "b"]


def test_an_index_that_is_asked_for_is_there(tmp_path: Path) -> None:
    frame = FRAME.assign(visitor=["x", "x", "y", "y"]).set_index("visitor")
    roles = DatasetRoles(group_column="visitor")
    summary = _summary(frame, tmp_path, roles=roles)
    assert (summary.group_count, len(summary.columns)) == (2, 2)
    assert _summary(frame, tmp_path, target="visitor").target_column == "visitor"

"""Datasets as the store stores them, made from real data."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import ipc
from sklearn import datasets as sklearn_datasets

from services.worker.adapters.dataset_folder import write_folder


@dataclass(frozen=True, kw_only=True)
class StoredDataset:
    """Canonical bytes, and what a user of scikit-learn would have in hand instead."""

    content: bytes
    features: Any
    target: np.ndarray[Any, Any]

    @property
    def content_hash(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def materialise(self, folder: Path) -> Path:
        """Writes the folder a worker would have."""
        folder.mkdir(parents=True)
        source = folder / "download"
        source.write_bytes(self.content)
        write_folder(source, folder)
        return folder


def built_in(name: str) -> StoredDataset:
    """One of scikit-learn's own datasets."""
    features, target = getattr(sklearn_datasets, f"load_{name}")(return_X_y=True)
    task = "regression" if target.dtype.kind == "f" else "classification"
    columns = {f"x{index}": features[:, index] for index in range(features.shape[1])}
    return StoredDataset(
        content=arrow_bytes(pa.table({**columns, "target": target}), task=task),
        features=features,
        target=target,
    )


def from_frame(frame: pd.DataFrame, *, target: str, task: str) -> StoredDataset:
    """A frame with any kinds of columns, the target among them."""
    features = frame.drop(columns=[target])
    table = pa.Table.from_pandas(features, preserve_index=False)
    table = table.append_column(target, pa.array(frame[target]))
    return StoredDataset(
        content=arrow_bytes(table, task=task), features=features, target=frame[target].to_numpy()
    )


def arrow_bytes(table: Any, *, task: str) -> bytes:
    """Writes a table as the store does: the target last, its name and the task as metadata."""
    metadata = {
        b"crescendo.task": task.encode(),
        b"crescendo.target": table.schema.names[-1].encode(),
    }
    table = table.replace_schema_metadata(metadata)
    sink = io.BytesIO()
    with ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def mixed_frame(rows: int = 400) -> pd.DataFrame:
    """Numbers with gaps, flags and text, and a target that depends on all of them."""
    random = np.random.default_rng(7)
    age = random.normal(40, 12, rows)
    income = random.lognormal(10, 1, rows)
    city = random.choice(["Athens", "Bergen", "Cork"], rows)
    member = random.random(rows) < 0.4
    logit = (age - 40) / 12 + (city == "Cork") * 1.5 - member * 0.8
    target = np.where(random.random(rows) < 1 / (1 + np.exp(-logit)), "yes", "no")
    income[random.random(rows) < 0.1] = np.nan
    return pd.DataFrame(
        {"age": age, "city": city, "income": income, "member": member, "bought": target}
    )

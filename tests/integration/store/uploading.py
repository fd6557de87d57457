"""Uploading datasets, and reading them back, for tests."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa

from services.core.violations import Violations
from services.store.app import UseCases
from services.store.ports.results import Dataset, DatasetFormat
from services.store.service.datasets import Upload
from tests.integration.store.scenario import TENANT

GOOD = b"a,b,c,label\n1,2.5,x,yes\n2,,y,no\n3,4.5,x,yes\n"


def new_upload(**changes: Any) -> Upload:
    values: dict[str, Any] = {
        "name": "mine",
        "target_column": "label",
        "task": None,
        "file_format": DatasetFormat.DETECT,
        "request_id": None,
    }
    return Upload(**{**values, **changes})


async def store_file(cases: UseCases, folder: Path, content: bytes, **changes: Any) -> Dataset:
    path = folder / uuid.uuid4().hex
    path.write_bytes(content)
    return await cases.datasets.upload(
        new_upload(**changes), path, tenant=TENANT, found=Violations()
    )


async def table_of(cases: UseCases, dataset_id: str) -> Any:
    chunks = [each async for each in cases.datasets.chunks(dataset_id, tenant=TENANT)]
    assert all(len(each) <= 1024 * 1024 for each in chunks)
    with pa.ipc.open_file(pa.BufferReader(b"".join(chunks))) as reader:
        return reader.read_all()


async def hash_of(cases: UseCases, dataset_id: str) -> str:
    import hashlib

    digest = hashlib.sha256()
    async for chunk in cases.datasets.chunks(dataset_id, tenant=TENANT):
        digest.update(chunk)
    return digest.hexdigest()

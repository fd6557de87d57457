"""DatasetService over gRPC."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from services.common.convert.times import time_to_proto
from services.core.dataset_roles import NO_ROLES, DatasetRoles
from services.core.errors import DeadlinePassed, FieldViolation, InvalidRequest
from services.core.objective import Task
from services.core.violations import Violations
from services.store.adapters.grpc_servicer.requests import TENANT, optional
from services.store.ports.results import Dataset, DatasetFormat, DatasetSummary
from services.store.service.datasets import Datasets, Upload
from tuning.v1 import dataset_pb2, dataset_service_pb2_grpc
from tuning.v1 import dataset_service_pb2 as pb

TASKS = {
    Task.CLASSIFICATION: dataset_pb2.TASK_CLASSIFICATION,
    Task.REGRESSION: dataset_pb2.TASK_REGRESSION,
}
_TASKS_BY_PROTO = {number: task for task, number in TASKS.items()}
_FORMATS_BY_PROTO = {
    dataset_pb2.DATASET_FORMAT_UNSPECIFIED: DatasetFormat.DETECT,
    dataset_pb2.DATASET_FORMAT_CSV: DatasetFormat.CSV,
    dataset_pb2.DATASET_FORMAT_PARQUET: DatasetFormat.PARQUET,
}


class DatasetServicer(dataset_service_pb2_grpc.DatasetServiceServicer):
    """Keeps datasets.

    Args:
        silence_seconds: an upload that sends nothing for so long is ended.
    """

    def __init__(self, datasets: Datasets, *, silence_seconds: float = 60.0) -> None:
        self._datasets = datasets
        self._silence_seconds = silence_seconds

    async def UploadDataset(
        self, request_iterator: AsyncIterator[pb.UploadDatasetRequest], context: Any
    ) -> pb.UploadDatasetResponse:
        """Uploads a file: a header, then its bytes."""
        with tempfile.TemporaryDirectory(prefix="crescendo-upload-") as folder:
            path = Path(folder) / "upload"
            header = await self._receive(request_iterator, path)
            found = Violations()
            upload = _upload_of(header, found)
            dataset = await self._datasets.upload(upload, path, tenant=TENANT, found=found)
        return pb.UploadDatasetResponse(dataset=dataset_to_proto(dataset))

    async def _receive(
        self, parts: AsyncIterator[pb.UploadDatasetRequest], path: Path
    ) -> pb.UploadHeader:
        header: pb.UploadHeader | None = None
        size = 0
        with path.open("wb") as file:
            async for part in _prompt(parts, self._silence_seconds):
                kind = part.WhichOneof("part")
                if header is None:
                    if kind != "header":
                        raise _invalid("header", "must come in the first message")
                    header = part.header
                elif kind == "header":
                    raise _invalid("header", "must come once, in the first message")
                else:
                    size += len(part.chunk)
                    if size > self._datasets.max_bytes:
                        raise _invalid(
                            "chunk",
                            f"the file is larger than the limit of {self._datasets.max_bytes} bytes",
                        )
                    await asyncio.to_thread(file.write, part.chunk)
        if header is None:
            raise _invalid("header", "must come in the first message")
        return header

    async def GetDataset(
        self, request: pb.GetDatasetRequest, context: Any
    ) -> pb.GetDatasetResponse:
        """Describes one dataset."""
        dataset = await self._datasets.dataset(request.dataset_id, tenant=TENANT)
        return pb.GetDatasetResponse(dataset=dataset_to_proto(dataset))

    async def ListDatasets(
        self, request: pb.ListDatasetsRequest, context: Any
    ) -> pb.ListDatasetsResponse:
        """Lists datasets."""
        found, token = await self._datasets.datasets(
            tenant=TENANT,
            page_size=optional(request, "page_size"),
            page_token=request.page_token,
        )
        return pb.ListDatasetsResponse(
            datasets=[dataset_to_proto(each) for each in found], next_page_token=token
        )

    async def DeleteDataset(
        self, request: pb.DeleteDatasetRequest, context: Any
    ) -> pb.DeleteDatasetResponse:
        """Deletes an uploaded dataset."""
        await self._datasets.delete(request.dataset_id)
        return pb.DeleteDatasetResponse()


async def _prompt(
    parts: AsyncIterator[pb.UploadDatasetRequest], seconds: float
) -> AsyncIterator[pb.UploadDatasetRequest]:
    """Yields an upload's parts. Raises: DeadlinePassed: the next one did not come in time."""
    coming = aiter(parts)
    while True:
        try:
            async with asyncio.timeout(seconds):
                part = await anext(coming)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise DeadlinePassed(
                f"nothing came for {seconds:g} s; upload again without pausing for so long",
                reason="UPLOAD_STALLED",
                metadata={"limit_seconds": f"{seconds:g}"},
            ) from error
        yield part


def dataset_to_proto(dataset: Dataset) -> dataset_pb2.Dataset:
    """Encodes a dataset's description."""
    summary = dataset.summary
    return dataset_pb2.Dataset(
        dataset_id=dataset.dataset_id,
        name=dataset.name,
        task=TASKS[summary.task],
        target_column=summary.target_column,
        row_count=summary.row_count,
        columns=[
            dataset_pb2.Column(name=each.name, type=each.type, missing_count=each.missing_count)
            for each in summary.columns
        ],
        classes=_classes_to_proto(summary),
        content_hash=summary.content_hash,
        size_bytes=summary.size_bytes,
        built_in=dataset.built_in,
        created_at=time_to_proto(dataset.created_at),
        roles=(
            None if summary.roles == NO_ROLES else dataset_pb2.DatasetRoles(**asdict(summary.roles))
        ),
        group_count=summary.group_count,
        fold_count=summary.fold_count,
    )


def _classes_to_proto(summary: DatasetSummary) -> list[dataset_pb2.ClassCount]:
    classes = [dataset_pb2.ClassCount(label=label, count=count) for label, count in summary.classes]
    for each, (first, last) in zip(classes, summary.class_spans, strict=False):
        each.first_row, each.last_row = first, last
    return classes


def _upload_of(header: pb.UploadHeader, found: Violations) -> Upload:
    """Decodes a header; numbers that name nothing are gathered, and stand for what was left out."""
    if header.task not in (dataset_pb2.TASK_UNSPECIFIED, *_TASKS_BY_PROTO):
        found.add("header.task", f"{header.task} is no task")
    if header.format not in _FORMATS_BY_PROTO:
        found.add("header.format", f"{header.format} is no format")
    return Upload(
        name=header.name,
        target_column=header.target_column,
        task=_TASKS_BY_PROTO.get(header.task),
        file_format=_FORMATS_BY_PROTO.get(header.format, DatasetFormat.DETECT),
        request_id=optional(header, "request_id"),
        roles=DatasetRoles(**{key.name: value for key, value in header.roles.ListFields()}),
    )


def _invalid(field: str, description: str) -> InvalidRequest:
    return InvalidRequest([FieldViolation(field=field, description=description)])

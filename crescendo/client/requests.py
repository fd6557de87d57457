"""Parts of requests that take some making."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, BinaryIO

from crescendo.client.errors import InvalidRequest, Violation
from crescendo.client.model import Step
from crescendo.client.values import json_value
from tuning.v1 import dataset_pb2 as dataset_pb
from tuning.v1 import dataset_service_pb2 as dataset_rpc
from tuning.v1 import objective_pb2 as objective_pb

_CHUNK_BYTES = 512 * 1024
_TASKS = {
    None: dataset_pb.TASK_UNSPECIFIED,
    "classification": dataset_pb.TASK_CLASSIFICATION,
    "regression": dataset_pb.TASK_REGRESSION,
}
_COLUMNS = {
    "": objective_pb.COLUMN_KIND_UNSPECIFIED,
    "all": objective_pb.COLUMN_KIND_ALL,
    "numeric": objective_pb.COLUMN_KIND_NUMERIC,
    "categorical": objective_pb.COLUMN_KIND_CATEGORICAL,
}


def optional_fields(**fields: Any) -> dict[str, Any]:
    """Leaves out what was not given, so that the server's defaults hold."""
    return {name: value for name, value in fields.items() if value is not None}


def step_to_proto(step: Step | str) -> objective_pb.PreprocessingStep:
    """Makes a step's message; a bare string is its type.

    Raises:
        InvalidRequest: the step's columns are of no known kind.
    """
    given = Step(type=step) if isinstance(step, str) else step
    if given.columns not in _COLUMNS:
        raise _unknown("columns", given.columns, [each for each in _COLUMNS if each])
    return objective_pb.PreprocessingStep(
        type=given.type,
        name=given.name,
        parameters={name: json_value(value) for name, value in (given.parameters or {}).items()},
        columns=_COLUMNS[given.columns],
    )


def upload_parts(
    file: BinaryIO, *, target: str, name: str, task: str | None
) -> Iterator[dataset_rpc.UploadDatasetRequest]:
    """Gives the messages of an upload: the header, then the file's bytes.

    Raises:
        InvalidRequest: the task is of no known kind.
    """
    if task not in _TASKS:
        raise _unknown("task", task, [each for each in _TASKS if each])
    header = dataset_rpc.UploadHeader(
        name=name, target_column=target, task=_TASKS[task], request_id=str(uuid.uuid4())
    )
    return _parts(header, file)


def _parts(
    header: dataset_rpc.UploadHeader, file: BinaryIO
) -> Iterator[dataset_rpc.UploadDatasetRequest]:
    yield dataset_rpc.UploadDatasetRequest(header=header)
    while chunk := file.read(_CHUNK_BYTES):
        yield dataset_rpc.UploadDatasetRequest(chunk=chunk)


def _unknown(field: str, value: object, known: list[str]) -> InvalidRequest:
    violation = Violation(field=field, description=f"{value!r} is not one of {', '.join(known)}")
    return InvalidRequest(str(violation), reason="INVALID_REQUEST", violations=(violation,))

"""Model runs and datasets as the store describes them."""

from __future__ import annotations

from services.common.convert.objectives import column_kind_from_proto
from services.common.convert.values import json_from_proto
from services.coordinator.ports import Dataset, ModelRun
from services.core.dataset_roles import DatasetRoles
from services.core.model_catalog import MODEL_TYPES
from services.core.model_run import StepRequest, validate_model_run
from services.core.objective import Task
from tuning.v1 import dataset_pb2, model_pb2


def model_run_from_proto(message: model_pb2.ModelRun) -> ModelRun:
    """Decodes a model run and gives its JSON parameters their types again.

    Raises: InvalidRequest: this version does not know its model type or one of its parameters.
    """
    model = MODEL_TYPES.get(message.model_type)
    checked = validate_model_run(
        model_type=message.model_type,
        fixed_parameters={
            name: json_from_proto(message.fixed_parameters[name])
            for name in message.fixed_parameters
        },
        steps=[
            StepRequest(
                type=step.type,
                name=step.name,
                parameters={
                    name: json_from_proto(step.parameters[name]) for name in step.parameters
                },
                columns=column_kind_from_proto(step.columns),
            )
            for step in message.preprocessing
        ],
        # It was held against its dataset when it was created.
        task=Task.CLASSIFICATION if model is None else model.task,
    )
    return ModelRun(
        model_run_id=message.model_run_id,
        dataset_id=message.dataset_id,
        model_type=message.model_type,
        fixed_parameters=checked.fixed_parameters,
        steps=checked.steps,
    )


def dataset_from_proto(message: dataset_pb2.Dataset) -> Dataset:
    """Decodes what a request must know of a dataset."""
    regression = message.task == dataset_pb2.TASK_REGRESSION
    return Dataset(
        dataset_id=message.dataset_id,
        task=Task.REGRESSION if regression else Task.CLASSIFICATION,
        row_count=message.row_count,
        class_counts=tuple((each.label, each.count) for each in message.classes),
        content_hash=message.content_hash,
        roles=DatasetRoles(**{key.name: value for key, value in message.roles.ListFields()}),
        class_spans={
            each.label: (each.first_row, each.last_row)
            for each in message.classes
            if each.HasField("first_row")
        },
        group_count=message.group_count,
        fold_count=message.fold_count,
    )

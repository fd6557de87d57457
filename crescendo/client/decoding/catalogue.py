"""Datasets, model types and model runs."""

from __future__ import annotations

from crescendo.client.decoding.spaces import space
from crescendo.client.decoding.states import timestamp
from crescendo.client.model import Column, Dataset, DatasetRoles, ModelRun, ModelType, Step
from crescendo.client.values import python_value
from tuning.v1 import dataset_pb2 as dataset_pb
from tuning.v1 import model_pb2 as model_pb
from tuning.v1 import objective_pb2 as objective_pb
from tuning.v1 import presets_pb2 as presets_pb


def model_type(message: presets_pb.ModelType) -> ModelType:
    """Decodes a model type."""
    return ModelType(
        model_type=message.model_type,
        task=dataset_pb.Task.Name(message.task).removeprefix("TASK_").lower(),
        library=message.library,
        default_grid=space(message.default_grid),
        preset_spaces={
            presets_pb.SpaceType.Name(each.space_type).removeprefix("SPACE_TYPE_").lower(): space(
                each.space
            )
            for each in message.preset_spaces
        },
    )


def dataset(message: dataset_pb.Dataset) -> Dataset:
    """Decodes a dataset."""
    return Dataset(
        dataset_id=message.dataset_id,
        name=message.name,
        task=dataset_pb.Task.Name(message.task).removeprefix("TASK_").lower(),
        target_column=message.target_column,
        row_count=message.row_count,
        columns=tuple(
            Column(name=each.name, type=each.type, missing_count=each.missing_count)
            for each in message.columns
        ),
        classes={each.label: each.count for each in message.classes},
        content_hash=message.content_hash,
        size_bytes=message.size_bytes,
        built_in=message.built_in,
        created_at=timestamp(message.created_at),
        roles=DatasetRoles(**{key.name: value for key, value in message.roles.ListFields()}),
        group_count=message.group_count,
        fold_count=message.fold_count,
    )


def model_run(message: model_pb.ModelRun) -> ModelRun:
    """Decodes a model run."""
    return ModelRun(
        model_run_id=message.model_run_id,
        experiment=message.experiment,
        dataset_id=message.dataset_id,
        model_type=message.model_type,
        fixed_parameters={
            name: python_value(message.fixed_parameters[name])
            for name in sorted(message.fixed_parameters)
        },
        steps=tuple(_step(each) for each in message.preprocessing),
        created_at=timestamp(message.created_at),
    )


def _step(message: objective_pb.PreprocessingStep) -> Step:
    columns = objective_pb.ColumnKind.Name(message.columns).removeprefix("COLUMN_KIND_").lower()
    return Step(
        type=message.type,
        name=message.name,
        parameters={
            name: python_value(message.parameters[name]) for name in sorted(message.parameters)
        },
        columns="" if columns == "unspecified" else columns,
    )

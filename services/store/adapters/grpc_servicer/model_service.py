"""ModelService over gRPC."""

from __future__ import annotations

from typing import Any

from google.protobuf import struct_pb2

from services.common.convert.objectives import column_kind_from_proto, column_kind_to_proto
from services.common.convert.spaces import space_to_proto
from services.common.convert.times import time_to_proto
from services.common.convert.values import json_from_proto, json_to_proto
from services.core.errors import FieldViolation, InvalidRequest
from services.core.model_catalog import MODEL_TYPES
from services.core.model_run import StepRequest
from services.core.model_types import ModelType
from services.core.objective import ColumnKind, Step
from services.core.parameter_schema import as_json
from services.core.preprocessing_types import STEP_TYPES
from services.core.preset_size import PresetSize
from services.core.space_presets import preset_spreads
from services.core.spread import space_of
from services.store.adapters.grpc_servicer.dataset_service import TASKS
from services.store.adapters.grpc_servicer.requests import (
    TENANT,
    optional,
    request_key,
)
from services.store.ports.results import ModelRun
from services.store.service.model_runs import ModelRunRequest, ModelRuns
from tuning.v1 import (
    dataset_pb2,
    model_pb2,
    model_service_pb2_grpc,
    objective_pb2,
    presets_pb2,
)
from tuning.v1 import model_service_pb2 as pb

_ANY_TASK = dataset_pb2.TASK_UNSPECIFIED
_SPACE_TYPES = {
    PresetSize.CONSERVATIVE: presets_pb2.SPACE_TYPE_CONSERVATIVE,
    PresetSize.DEFAULT: presets_pb2.SPACE_TYPE_DEFAULT,
    PresetSize.AGGRESSIVE: presets_pb2.SPACE_TYPE_AGGRESSIVE,
}


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    """Keeps model runs."""

    def __init__(self, model_runs: ModelRuns) -> None:
        self._model_runs = model_runs

    async def CreateModelRun(
        self, request: pb.CreateModelRunRequest, context: Any
    ) -> pb.CreateModelRunResponse:
        """Creates a model run."""
        model_run = await self._model_runs.create(
            ModelRunRequest(
                experiment=request.experiment or "default",
                dataset_id=request.dataset_id,
                model_type=request.model_type,
                fixed_parameters={
                    name: json_from_proto(value)
                    for name, value in sorted(request.fixed_parameters.items())
                },
                steps=[_step_of(each) for each in request.preprocessing],
            ),
            tenant=TENANT,
            key=request_key("CreateModelRun", request),
            validate_only=bool(request.validate_only),
        )
        return pb.CreateModelRunResponse(model_run=model_run_to_proto(model_run))

    async def GetModelRun(
        self, request: pb.GetModelRunRequest, context: Any
    ) -> pb.GetModelRunResponse:
        """Describes one model run."""
        model_run = await self._model_runs.model_run(request.model_run_id)
        return pb.GetModelRunResponse(model_run=model_run_to_proto(model_run))

    async def ListModelRuns(
        self, request: pb.ListModelRunsRequest, context: Any
    ) -> pb.ListModelRunsResponse:
        """Lists model runs."""
        found, token = await self._model_runs.model_runs(
            tenant=TENANT,
            experiment=request.experiment,
            page_size=optional(request, "page_size"),
            page_token=request.page_token,
        )
        return pb.ListModelRunsResponse(
            model_runs=[model_run_to_proto(each) for each in found], next_page_token=token
        )

    async def ListModelTypes(
        self, request: pb.ListModelTypesRequest, context: Any
    ) -> pb.ListModelTypesResponse:
        """Lists the model types."""
        if request.task not in (_ANY_TASK, *TASKS.values()):
            raise InvalidRequest(
                [
                    FieldViolation(
                        field="task",
                        description=f"{request.task} is no task; use TASK_CLASSIFICATION or"
                        " TASK_REGRESSION, or leave it out",
                    )
                ]
            )
        listed = [model_type_to_proto(MODEL_TYPES[name]) for name in sorted(MODEL_TYPES)]
        return pb.ListModelTypesResponse(
            model_types=[each for each in listed if request.task in (_ANY_TASK, each.task)]
        )


def model_type_to_proto(model_type: ModelType) -> presets_pb2.ModelType:
    """Encodes a model type with its default grid and its preset spaces."""
    return presets_pb2.ModelType(
        model_type=model_type.name,
        task=TASKS[model_type.task],
        library=model_type.library,
        default_grid=space_to_proto(model_type.default_space),
        preset_spaces=[
            presets_pb2.PresetSpace(
                space_type=kind,
                space=space_to_proto(space_of(preset_spreads(model_type.name, size))),
            )
            for size, kind in _SPACE_TYPES.items()
        ],
    )


def model_run_to_proto(model_run: ModelRun) -> model_pb2.ModelRun:
    """Encodes a model run, its parameters as JSON that reads as the same values again."""
    model_type = MODEL_TYPES.get(model_run.model_type)
    schemas = {} if model_type is None else model_type.parameters
    return model_pb2.ModelRun(
        model_run_id=model_run.model_run_id,
        experiment=model_run.experiment,
        dataset_id=model_run.dataset_id,
        model_type=model_run.model_type,
        fixed_parameters={
            name: json_to_proto(as_json(schemas.get(name), value))
            for name, value in model_run.fixed_parameters.items()
        },
        preprocessing=[
            objective_pb2.PreprocessingStep(
                type=each.type,
                name=each.name,
                parameters=_step_parameters(each),
                columns=column_kind_to_proto(each.columns),
            )
            for each in model_run.steps
        ],
        created_at=time_to_proto(model_run.created_at),
    )


def _step_parameters(step: Step) -> dict[str, struct_pb2.Value]:
    step_type = STEP_TYPES.get(step.type)
    schemas = {} if step_type is None else step_type.parameters
    return {
        name: json_to_proto(as_json(schemas.get(name), value))
        for name, value in step.parameters.items()
    }


def _step_of(message: objective_pb2.PreprocessingStep) -> StepRequest:
    return StepRequest(
        type=message.type,
        name=message.name,
        parameters={
            name: json_from_proto(value) for name, value in sorted(message.parameters.items())
        },
        columns=_columns_of(message),
    )


def _columns_of(message: objective_pb2.PreprocessingStep) -> ColumnKind | int:
    """Gives a number that is no kind as it is, to be refused together with all else."""
    try:
        return column_kind_from_proto(message.columns)
    except ValueError:
        return message.columns

"""Parts of requests that take some making."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, BinaryIO, TypeVar

from crescendo.client.errors import InvalidRequest, Violation
from crescendo.client.model import (
    Budget,
    DatasetRoles,
    PlanStage,
    Pruning,
    Selection,
    Splitter,
    Step,
    StoppingRules,
)
from crescendo.client.values import json_value
from tuning.v1 import dataset_pb2 as dataset_pb
from tuning.v1 import dataset_service_pb2 as dataset_rpc
from tuning.v1 import objective_pb2 as objective_pb
from tuning.v1 import orchestration_pb2 as orchestration_pb
from tuning.v1 import orchestration_service_pb2 as orchestration_rpc
from tuning.v1 import presets_pb2 as presets_pb

_CHUNK_BYTES = 512 * 1024
_TASKS = {
    None: dataset_pb.TASK_UNSPECIFIED,
    "classification": dataset_pb.TASK_CLASSIFICATION,
    "regression": dataset_pb.TASK_REGRESSION,
}
_STEP_KINDS = {
    "fold": objective_pb.STEP_KIND_FOLD,
    "training_size": objective_pb.STEP_KIND_TRAINING_SIZE,
    "boosting_round": objective_pb.STEP_KIND_BOOSTING_ROUND,
}
_COLUMNS = {
    "": objective_pb.COLUMN_KIND_UNSPECIFIED,
    "all": objective_pb.COLUMN_KIND_ALL,
    "numeric": objective_pb.COLUMN_KIND_NUMERIC,
    "categorical": objective_pb.COLUMN_KIND_CATEGORICAL,
}


_SPACES = {
    "conservative": presets_pb.SPACE_TYPE_CONSERVATIVE,
    "default": presets_pb.SPACE_TYPE_DEFAULT,
    "aggressive": presets_pb.SPACE_TYPE_AGGRESSIVE,
}
_CONFIGS = {
    "conservative": presets_pb.CONFIG_TYPE_CONSERVATIVE,
    "default": presets_pb.CONFIG_TYPE_DEFAULT,
    "aggressive": presets_pb.CONFIG_TYPE_AGGRESSIVE,
}
_SIMPLER = {
    "lower": orchestration_pb.SIMPLER_VALUES_LOWER,
    "higher": orchestration_pb.SIMPLER_VALUES_HIGHER,
}
_Enum = TypeVar("_Enum")


def optional_fields(**fields: Any) -> dict[str, Any]:
    """Leaves out what was not given, so that the server's defaults hold."""
    return {name: value for name, value in fields.items() if value is not None}


def space_type_to_proto(name: str | None) -> presets_pb.SpaceType.ValueType | None:
    """Gives the enum of a preset space by its name.

    Raises:
        InvalidRequest: the name is none of the three.
    """
    return None if name is None else _named("space_type", name, _SPACES)


def config_type_to_proto(name: str | None) -> presets_pb.ConfigType.ValueType | None:
    """Gives the enum of preset budgets by its name.

    Raises:
        InvalidRequest: the name is none of the three.
    """
    return None if name is None else _named("config_type", name, _CONFIGS)


def budget_to_proto(budget: Budget | None) -> orchestration_pb.Budget | None:
    """Makes a budget's message; None sets nothing."""
    return None if budget is None else orchestration_pb.Budget(**optional_fields(**asdict(budget)))


def splitter_to_proto(splitter: Splitter | str | None) -> objective_pb.Splitter | None:
    """Makes a splitter's message; a bare string is its type, None sets nothing."""
    if splitter is None:
        return None
    given = Splitter(type=splitter) if isinstance(splitter, str) else splitter
    return objective_pb.Splitter(**optional_fields(**asdict(given)))


def stage_to_proto(stage: PlanStage) -> orchestration_rpc.PlanStage:
    """Makes the message of a plan's stage."""
    return orchestration_rpc.PlanStage(
        method=stage.method,
        parameters=stage.parameters,
        **optional_fields(
            n_iter=stage.n_iter,
            refinement=stage.refinement,
            refinement_factor=stage.refinement_factor,
            explore=stage.explore,
            stopping=stopping_to_proto(stage.stopping),
            pruning=pruning_to_proto(stage.pruning),
            radius=stage.radius,
        ),
    )


def stopping_to_proto(rules: StoppingRules | None) -> orchestration_pb.StoppingRules | None:
    """Makes the message of stopping rules; None sets nothing."""
    if rules is None:
        return None
    return orchestration_pb.StoppingRules(**optional_fields(**asdict(rules)))


def pruning_to_proto(pruning: Pruning | str | None) -> orchestration_pb.Pruning | None:
    """Makes the message that stops trials early; a bare string is its rule, None sets nothing.

    Raises:
        InvalidRequest: there is no such kind of step.
    """
    if pruning is None:
        return None
    given = Pruning(rule=pruning) if isinstance(pruning, str) else pruning
    figures = optional_fields(**asdict(given))
    if given.step_kind is not None:
        if given.step_kind not in _STEP_KINDS:
            raise _unknown("step_kind", given.step_kind, list(_STEP_KINDS))
        figures["step_kind"] = _STEP_KINDS[given.step_kind]
    return orchestration_pb.Pruning(**figures)


def selection_to_proto(selection: Selection | None) -> orchestration_pb.Selection | None:
    """Makes the message of how the best model is selected; None sets nothing.

    Raises:
        InvalidRequest: a parameter has something else than `lower` or `higher`.
    """
    if selection is None:
        return None
    return orchestration_pb.Selection(
        rule=selection.rule,
        simpler=[
            orchestration_pb.SimplerParameter(
                parameter=name, prefer=_named(f'selection.simpler["{name}"]', values, _SIMPLER)
            )
            for name, values in selection.simpler.items()
        ],
    )


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
    file: BinaryIO, *, target: str, name: str, task: str | None, roles: DatasetRoles | None
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
    if roles is not None:
        header.roles.CopyFrom(dataset_pb.DatasetRoles(**asdict(roles)))
    return _parts(header, file)


def _parts(
    header: dataset_rpc.UploadHeader, file: BinaryIO
) -> Iterator[dataset_rpc.UploadDatasetRequest]:
    yield dataset_rpc.UploadDatasetRequest(header=header)
    while chunk := file.read(_CHUNK_BYTES):
        yield dataset_rpc.UploadDatasetRequest(chunk=chunk)


def _named(field: str, name: str, known: Mapping[str, _Enum]) -> _Enum:
    if name not in known:
        raise _unknown(field, name, list(known))
    return known[name]


def _unknown(field: str, value: object, known: list[str]) -> InvalidRequest:
    violation = Violation(field=field, description=f"{value!r} is not one of {', '.join(known)}")
    return InvalidRequest(str(violation), reason="INVALID_REQUEST", violations=(violation,))

"""Model runs: checking a model type, its fixed parameters and its preprocessing against the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from services.core import early_stopping
from services.core.model_catalog import MODEL_TYPES
from services.core.model_types import ModelType
from services.core.naming import unknown_name
from services.core.objective import ColumnKind, Step, Task
from services.core.parameter_schema import ParameterSchema, Refused, check_value
from services.core.preprocessing_types import (
    SCORE_FUNCTIONS,
    STEP_TYPES,
    step_columns,
)
from services.core.space import Value
from services.core.step_choices import choice_schema, choosable, offered_types
from services.core.step_type import StepType
from services.core.violations import Violations

# The estimator's own name in the pipeline, and what Pipeline's constructor calls its arguments.
_RESERVED_NAMES = frozenset({"model", "steps", "memory", "verbose", "transform_input"})
_MAX_STEPS = 20
_MAX_NAME = 64
_SHOWN_COLUMNS = 10

NO_TYPES_OFFERED: Final[Mapping[str, Iterable[object]]] = MappingProxyType({})
"""Every step is what the model run says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRequest:
    """A preprocessing step as asked for.

    Attributes:
        name: empty for the type's.
        parameters: JSON values by name.
        columns: a number where the request's names no kind.
    """

    type: str
    name: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    columns: ColumnKind | int = ColumnKind.DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedModelRun:
    """A model run whose parts fit each other and whose values have their types."""

    model_type: ModelType
    fixed_parameters: Mapping[str, Value]
    steps: tuple[Step, ...]


def validate_model_run(
    *,
    model_type: str,
    fixed_parameters: Mapping[str, object],
    steps: Sequence[StepRequest],
    task: Task,
    categorical_columns: Sequence[str] = (),
    missing_columns: Sequence[str] = (),
) -> CheckedModelRun:
    """Checks everything about a model run that can be known without fitting it.

    Args:
        task: the dataset's.
        categorical_columns: the dataset's text columns.
        missing_columns: the dataset's numeric columns with missing values.

    Raises: InvalidRequest: something is wrong; `violations` lists all of it by path.
    """
    found = Violations()
    model = MODEL_TYPES.get(model_type)
    typed: dict[str, Value] = {}
    if model is None:
        known = [each.name for each in MODEL_TYPES.values() if each.task is task]
        found.add("model_type", unknown_name(f"model type for {task.value}", model_type, known))
    else:
        if model.task is not task:
            known = [each.name for each in MODEL_TYPES.values() if each.task is task]
            found.add(
                "model_type",
                f'"{model_type}" is for {model.task.value}, and the dataset is for {task.value}; '
                f"known: {', '.join(sorted(known))}",
            )
        with found.gathered():
            typed = check_parameters(fixed_parameters, model.parameters, field="fixed_parameters")
            if problem := early_stopping.early_stopping_problem(typed):
                found.add(f'fixed_parameters["{early_stopping.ROUNDS}"]', problem)
    checked = _check_steps(steps, task, found)
    # With a step refused it is not known what the steps will do to the columns.
    if len(checked) == len(steps):
        _check_categories(checked, categorical_columns, found)
        if model is not None:
            _check_missing(model, checked, missing_columns, found)
    found.raise_if_any()
    return CheckedModelRun(
        model_type=MODEL_TYPES[model_type], fixed_parameters=typed, steps=checked
    )


def check_parameters(
    parameters: Mapping[str, object],
    schemas: Mapping[str, ParameterSchema],
    *,
    field: str,
) -> dict[str, Value]:
    """Types JSON values by name.

    Raises: InvalidRequest: a name is unknown or a value not allowed; all are listed by path.
    """
    found = Violations()
    typed: dict[str, Value] = {}
    for name in sorted(parameters):
        path = f'{field}["{name}"]'
        schema = schemas.get(name)
        if schema is None:
            found.add(path, unknown_name("parameter", name, tuple(schemas)))
            continue
        value = check_value(schema, parameters[name])
        if isinstance(value, Refused):
            found.add(path, value.text)
        else:
            typed[name] = value
    found.raise_if_any()
    return typed


def searchable_parameters(
    model_type: ModelType,
    steps: Sequence[Step] = (),
    offered: Mapping[str, Iterable[object]] = NO_TYPES_OFFERED,
) -> dict[str, ParameterSchema]:
    """Returns the schema of every parameter a grid may name: the estimator's, `step__parameter`, and steps.

    Args:
        offered: values a search gives steps by name; a step has the parameters of each type among them.

    Raises: KeyError: a step's type is not known.
    """
    # Which rows stop a fit is no matter of search: the tested ones would always win.
    schemas = {
        name: each for name, each in model_type.parameters.items() if name != early_stopping.SET
    }
    choices = choosable(model_type, steps)
    for step in steps:
        types = [step.type]
        if step.name in choices:
            schemas[step.name] = choice_schema(step)
            types = offered_types(step, offered.get(step.name, ()))
        for each in types:
            for name, schema in STEP_TYPES[each].parameters.items():
                # Where types differ, values are checked against each of them (`with_step_choices`).
                schemas.setdefault(f"{step.name}__{name}", schema)
    return schemas


def _check_steps(steps: Sequence[StepRequest], task: Task, found: Violations) -> tuple[Step, ...]:
    if len(steps) > _MAX_STEPS:
        found.add("preprocessing", f"has {len(steps)} steps, above the limit of {_MAX_STEPS}")
        return ()
    checked: list[Step] = []
    names: dict[str, int] = {}
    for place, step in enumerate(steps):
        path = f"preprocessing[{place}]"
        kind = step.columns
        if isinstance(kind, int):
            known = ", ".join(each.value for each in ColumnKind if each is not ColumnKind.DEFAULT)
            found.add(
                f"{path}.columns",
                f"{kind} is no kind of columns; use one of {known}, or leave it out",
            )
            kind = ColumnKind.DEFAULT
        step_type = STEP_TYPES.get(step.type)
        if step_type is None:
            found.add(
                f"{path}.type", unknown_name("preprocessing type", step.type, tuple(STEP_TYPES))
            )
            continue
        name = step.name or step.type
        first = names.setdefault(name, place)
        problem = _name_problem(name)
        if first != place:
            problem = f'"{name}" is the name of preprocessing[{first}] too; give each its own'
        if problem:
            found.add(f"{path}.name", problem)
        with found.gathered():
            typed = check_parameters(
                step.parameters, step_type.parameters, field=f"{path}.parameters"
            )
            _check_combination(step_type, typed, task, path, found)
            checked.append(Step(type=step.type, name=name, parameters=typed, columns=kind))
    return tuple(checked)


def _name_problem(name: str) -> str:
    if name in _RESERVED_NAMES:
        return f'"{name}" is reserved; choose another name'
    if "__" in name or not name.isidentifier() or len(name) > _MAX_NAME:
        return (
            f'"{name[:_MAX_NAME]}" is no step name; use letters, digits and single underscores, '
            f"at most {_MAX_NAME} of them"
        )
    return ""


def _check_combination(
    step_type: StepType,
    parameters: Mapping[str, Value],
    task: Task,
    path: str,
    found: Violations,
) -> None:
    function = parameters.get("score_func")
    if isinstance(function, str) and SCORE_FUNCTIONS.get(function) is not task:
        usable = [name for name, each in SCORE_FUNCTIONS.items() if each is task]
        found.add(
            f'{path}.parameters["score_func"]',
            f'"{function}" is not for {task.value}; use one of {", ".join(usable)}',
        )
    if step_type.name == "ordinal_encoder":
        unknown = parameters.get("unknown_value", -1)
        errs = parameters.get("handle_unknown", "use_encoded_value") == "error"
        if errs and "unknown_value" in parameters and unknown is not None:
            found.add(
                f'{path}.parameters["unknown_value"]',
                'goes with handle_unknown "use_encoded_value" only; leave it out',
            )
        if not errs and unknown is None:
            found.add(
                f'{path}.parameters["unknown_value"]',
                "null leaves unknown categories without a code; give a whole number such as -1",
            )


def _check_categories(steps: Sequence[Step], columns: Sequence[str], found: Violations) -> None:
    if not columns:
        return
    encoded = any(
        STEP_TYPES[step.type].encodes
        and step_columns(step) in (ColumnKind.ALL, ColumnKind.CATEGORICAL)
        for step in steps
    )
    if not encoded:
        found.add(
            "preprocessing",
            f"nothing encodes the text columns {_listed(columns)}; add a one_hot_encoder, an "
            "ordinal_encoder or a target_encoder step",
        )


def _check_missing(
    model: ModelType, steps: Sequence[Step], columns: Sequence[str], found: Violations
) -> None:
    if not columns:
        return
    for place, step in enumerate(steps):
        if step_columns(step) is ColumnKind.CATEGORICAL:
            continue
        if step.type == "impute":
            return
        if not STEP_TYPES[step.type].takes_missing:
            found.add(
                f"preprocessing[{place}]",
                f"{step.type} takes no missing values, and the columns {_listed(columns)} have "
                "some; add an impute step before it",
            )
            return
    if not model.takes_missing:
        found.add(
            "preprocessing",
            f"{model.name} takes no missing values, and the columns {_listed(columns)} have some; "
            "add an impute step",
        )


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(f'"{each}"' for each in columns[:_SHOWN_COLUMNS])
    more = len(columns) - _SHOWN_COLUMNS
    return f"{shown} and {more} more" if more > 0 else shown

"""Preprocessing types: which transformer a step's type stands for and which parameters it takes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.core.feature_steps import FEATURE_STEPS
from services.core.objective import ColumnKind, Step, Task
from services.core.parameter_schema import Floats, Ints, ParameterSchema, Tuples
from services.core.space import Value
from services.core.step_type import StepType

_BOOLEAN = ParameterSchema(booleans=True)
_FREQUENCY = ParameterSchema(
    ints=Ints(low=1),
    floats=Floats(low=0.0, high=1.0, low_open=True, high_open=True),
    nullable=True,
)
_NULLABLE_COUNT = ParameterSchema(ints=Ints(low=1), nullable=True)
_CODE = Ints(low=-(2**31))


SCORE_FUNCTIONS: Final[Mapping[str, Task | None]] = MappingProxyType(
    {
        "f_classif": Task.CLASSIFICATION,
        "mutual_info_classif": Task.CLASSIFICATION,
        "chi2": Task.CLASSIFICATION,
        "f_regression": Task.REGRESSION,
        "mutual_info_regression": Task.REGRESSION,
    }
)
"""The functions select_k_best ranks features by, and the task each is for."""

SEEDED_FUNCTIONS: Final = ("mutual_info_classif", "mutual_info_regression")
"""Score functions that draw random numbers and take `random_state`."""

_TABLE: Final = (
    StepType(
        name="impute",
        transformer="sklearn.impute:SimpleImputer",
        parameters={
            "strategy": ParameterSchema(strings=("mean", "median", "most_frequent", "constant")),
            "fill_value": ParameterSchema(ints=_CODE, floats=Floats(), text=True, nullable=True),
            "add_indicator": _BOOLEAN,
            "keep_empty_features": _BOOLEAN,
        },
        blocked=("copy", "missing_values"),
        columns=ColumnKind.ALL,
    ),
    StepType(
        name="standard_scaler",
        transformer="sklearn.preprocessing:StandardScaler",
        parameters={"with_mean": _BOOLEAN, "with_std": _BOOLEAN},
        blocked=("copy",),
        columns=ColumnKind.NUMERIC,
    ),
    StepType(
        name="min_max_scaler",
        transformer="sklearn.preprocessing:MinMaxScaler",
        parameters={
            "feature_range": ParameterSchema(
                tuples=Tuples(items=Floats(), min_length=2, max_length=2, ascending=True)
            ),
            "clip": _BOOLEAN,
        },
        blocked=("copy",),
        columns=ColumnKind.NUMERIC,
    ),
    StepType(
        name="robust_scaler",
        transformer="sklearn.preprocessing:RobustScaler",
        parameters={
            "quantile_range": ParameterSchema(
                tuples=Tuples(
                    items=Floats(low=0.0, high=100.0), min_length=2, max_length=2, ascending=True
                )
            ),
            "with_centering": _BOOLEAN,
            "with_scaling": _BOOLEAN,
            "unit_variance": _BOOLEAN,
        },
        blocked=("copy",),
        columns=ColumnKind.NUMERIC,
    ),
    StepType(
        name="one_hot_encoder",
        transformer="sklearn.preprocessing:OneHotEncoder",
        parameters={
            "drop": ParameterSchema(strings=("first", "if_binary"), nullable=True),
            "handle_unknown": ParameterSchema(
                strings=("error", "ignore", "infrequent_if_exist", "warn")
            ),
            "min_frequency": _FREQUENCY,
            "max_categories": _NULLABLE_COUNT,
        },
        blocked=("categories", "dtype", "feature_name_combiner", "sparse_output"),
        columns=ColumnKind.CATEGORICAL,
        # A category that only the test part of a fold has must not fail the trial.
        defaults={"handle_unknown": "ignore", "sparse_output": False},
        encodes=True,
    ),
    StepType(
        name="ordinal_encoder",
        transformer="sklearn.preprocessing:OrdinalEncoder",
        parameters={
            "handle_unknown": ParameterSchema(strings=("error", "use_encoded_value")),
            "unknown_value": ParameterSchema(ints=_CODE, nullable=True),
            "encoded_missing_value": ParameterSchema(ints=_CODE, floats=Floats()),
            "min_frequency": _FREQUENCY,
            "max_categories": _NULLABLE_COUNT,
        },
        blocked=("categories", "dtype"),
        columns=ColumnKind.CATEGORICAL,
        defaults={"handle_unknown": "use_encoded_value", "unknown_value": -1},
        encodes=True,
    ),
    StepType(
        name="target_encoder",
        transformer="sklearn.preprocessing:TargetEncoder",
        parameters={
            "smooth": ParameterSchema(floats=Floats(low=0.0), strings=("auto",)),
            "cv": ParameterSchema(ints=Ints(low=2)),
        },
        # What the target is follows from the task; shuffling and its seed from the run.
        blocked=("categories", "random_state", "shuffle", "target_type"),
        columns=ColumnKind.CATEGORICAL,
        defaults={"cv": 5},
        encodes=True,
        shuffled_folds="cv",
    ),
    StepType(
        name="select_k_best",
        transformer="sklearn.feature_selection:SelectKBest",
        parameters={
            "k": ParameterSchema(ints=Ints(low=1), strings=("all",)),
            "score_func": ParameterSchema(strings=tuple(SCORE_FUNCTIONS)),
        },
        blocked=(),
        columns=ColumnKind.ALL,
        functions={name: f"sklearn.feature_selection:{name}" for name in SCORE_FUNCTIONS},
        takes_missing=False,
    ),
    *FEATURE_STEPS,
)

STEP_TYPES: Final[Mapping[str, StepType]] = MappingProxyType({each.name: each for each in _TABLE})
"""Every preprocessing type by name."""


def step_arguments(step: Step, task: Task) -> dict[str, Value]:
    """Returns a step's constructor arguments: its own and the defaults that go with them.

    Raises: KeyError: the step's type is not known.
    """
    arguments: dict[str, Value] = dict(STEP_TYPES[step.type].defaults)
    if step.type == "select_k_best":
        classifies = task is Task.CLASSIFICATION
        arguments["score_func"] = "f_classif" if classifies else "f_regression"
    if step.type == "target_encoder" and task is Task.REGRESSION:
        # Whole numbers would be taken for classes.
        arguments["target_type"] = "continuous"
    arguments.update(step.parameters)
    if arguments.get("handle_unknown") == "error" and "unknown_value" not in step.parameters:
        # The ordinal encoder refuses a code for unknown categories that it would never give.
        arguments.pop("unknown_value", None)
    return arguments


def step_columns(step: Step) -> ColumnKind:
    """Returns the columns a step works on; averages are taken of numbers only.

    Raises: KeyError: the step's type is not known.
    """
    if step.columns is not ColumnKind.DEFAULT:
        return step.columns
    if step.type == "impute" and step.parameters.get("strategy", "mean") in ("mean", "median"):
        return ColumnKind.NUMERIC
    return STEP_TYPES[step.type].columns

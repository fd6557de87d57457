"""Datasets, model types and model runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from crescendo.client.model.spaces import SpaceParameter
from crescendo.client.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One feature column: `float`, `int`, `bool` or `string`."""

    name: str
    type: str
    missing_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRoles:
    """Columns of a dataset that are no features; empty where there is none.

    Attributes:
        group_column: rows with one value stay on one side of a split by groups.
        time_column: orders the rows of a split by time.
        weight_column: weights of the rows, ≥ 0.
        fold_column: the test fold of each row, from 0; -1 for rows that are never tested.
        positive_label: the class, as text, that metrics of two classes take as positive.
    """

    group_column: str = ""
    time_column: str = ""
    weight_column: str = ""
    fold_column: str = ""
    positive_label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """An immutable table with a target column; `classes` maps labels to rows."""

    dataset_id: str
    name: str
    task: str
    target_column: str
    row_count: int
    columns: tuple[Column, ...]
    classes: dict[str, int]
    content_hash: str
    size_bytes: int
    built_in: bool
    created_at: datetime | None
    roles: DatasetRoles = DatasetRoles()
    group_count: int = 0
    fold_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One preprocessing step.

    Attributes:
        type: such as `impute`, `standard_scaler`, `one_hot_encoder`, `select_k_best`.
        name: its name in parameter names (`name__parameter`); the type when empty.
        columns: `all`, `numeric`, `categorical`, or empty for what the type takes by itself.
    """

    type: str
    name: str = ""
    parameters: dict[str, Value] | None = None
    columns: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelType:
    """One estimator that can be tuned, and what is searched of it by default.

    Attributes:
        task: `classification` or `regression`.
        library: the package it comes from, such as `sklearn`.
        default_grid: searched when a request says nothing of its space.
        preset_spaces: by `space_type`, from the smallest to the largest.
    """

    model_type: str
    task: str
    library: str
    default_grid: tuple[SpaceParameter, ...]
    preset_spaces: dict[str, tuple[SpaceParameter, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRun:
    """A model type on a dataset, ready to be tuned."""

    model_run_id: str
    experiment: str
    dataset_id: str
    model_type: str
    fixed_parameters: dict[str, Value]
    steps: tuple[Step, ...]
    created_at: datetime | None

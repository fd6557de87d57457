"""What one trial computes: an estimator behind preprocessing steps, cross-validated by metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from services.core.space import Assignment, Value
from services.core.splitting import Splitter


class ColumnKind(Enum):
    """Which columns a preprocessing step works on; DEFAULT leaves it to the step's type."""

    DEFAULT = "default"
    ALL = "all"
    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


class Task(Enum):
    """What a dataset's target is."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One preprocessing step, fitted on the training part of each fold."""

    type: str
    name: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    columns: ColumnKind = ColumnKind.DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSpec:
    """Everything that is the same for all trials of a tuning run.

    Attributes:
        metrics: scikit-learn scorer names, the objective first; never empty.
        cv_folds: splits each trial is scored on; without a splitter these are the folds, ≥ 2.
        random_state: seeds every estimator and step that takes a seed and has none fixed.
        trial_timeout_seconds: wall limit of one trial; None for no limit.
        splitter: how rows are split, its `n_splits` set; None for `check_cv` of `cv_folds`.
        weighted_scoring: gives the dataset's weights to the scorers too.
        return_train_scores: scores each split's training part too.
    """

    dataset_id: str
    dataset_hash: str
    model_type: str
    fixed_parameters: Assignment = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    cv_folds: int = 5
    metrics: tuple[str, ...]
    random_state: int = 42
    trial_timeout_seconds: float | None = None
    splitter: Splitter | None = None
    weighted_scoring: bool = False
    return_train_scores: bool = False

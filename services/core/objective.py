"""What one trial computes: an estimator behind preprocessing steps, cross-validated by metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from services.core.space import Assignment, Value


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
        cv_folds: number of folds, ≥ 2.
        random_state: seeds every estimator and step that takes a seed and has none fixed.
        trial_timeout_seconds: wall limit of one trial; None for no limit.
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


FOLDS_ABOVE_SMALLEST_CLASS: Final = "FOLDS_ABOVE_SMALLEST_CLASS"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldCheck:
    """What is wrong with a number of folds, and what people should know about it.

    Attributes:
        problem: why it is refused; empty when it is not.
        notice: `REASON: text` when it is accepted with a warning; empty otherwise.
    """

    problem: str = ""
    notice: str = ""


def check_folds(cv_folds: int, class_counts: Sequence[int], row_count: int) -> FoldCheck:
    """Checks a number of folds against the data, as scikit-learn's splitters do when they split.

    Args:
        class_counts: rows per class of a classification; empty for a regression.
    """
    if cv_folds < 2:
        return FoldCheck(problem=f"{cv_folds} is below 2; cross-validation needs two folds or more")
    if cv_folds > row_count:
        return FoldCheck(
            problem=f"{cv_folds} is above the {row_count} rows of the dataset; use {row_count} or "
            "fewer"
        )
    if class_counts and cv_folds > max(class_counts):
        return FoldCheck(
            problem=f"{cv_folds} is above the size of every class, of which the largest has "
            f"{max(class_counts)} rows; use {max(class_counts)} or fewer"
        )
    if class_counts and cv_folds > min(class_counts):
        return FoldCheck(
            notice=f"{FOLDS_ABOVE_SMALLEST_CLASS}: {cv_folds} folds are more than the "
            f"{min(class_counts)} rows of the smallest class, which some folds will lack"
        )
    return FoldCheck()

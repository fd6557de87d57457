"""What a request may say of splits, metrics and weights, given the models and the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.coordinator.ports import Dataset, ModelRun
from services.coordinator.service.requests import (
    DEFAULT_FOLDS,
)
from services.core import early_stopping
from services.core.metrics import METRICS, metric_problem
from services.core.model_catalog import MODEL_TYPES
from services.core.split_checks import RowFacts, check_folds, check_splitter
from services.core.splitting import SPLITTERS, Splitter
from services.core.violations import Violations

WEIGHTS_NOT_TAKEN: Final = "WEIGHTS_NOT_TAKEN"
OPTIMISTIC: Final = "OPTIMISTIC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """How the rows of a request's data are split.

    Attributes:
        count: splits each trial is scored on.
        splitter: with its `n_splits` set; None for `check_cv` of `count`.
        notices: for people.
    """

    count: int
    splitter: Splitter | None = None
    notices: tuple[str, ...] = ()


def check_splits(
    found: Violations, cv_folds: int | None, splitter: Splitter | None, dataset: Dataset
) -> Splits:
    """Checks the folds, or the splitter, against the data. Returns: what they come to.

    Args:
        cv_folds: None where the request did not say.
    """
    count = DEFAULT_FOLDS if cv_folds is None else cv_folds
    counts = tuple(count for _, count in dataset.class_counts)
    if splitter is None:
        folds = check_folds(count, counts, dataset.row_count)
        if folds.problem:
            found.add("cv_folds", folds.problem)
        return Splits(count=count, notices=(folds.notice,) if folds.notice else ())
    kind = SPLITTERS.get(splitter.type)
    if cv_folds is not None and (problem := _idle_folds(cv_folds, splitter)):
        found.add("cv_folds", problem)
    if splitter.n_splits is None and (kind is None or kind.counted):
        splitter = replace(splitter, n_splits=count)
    rows = RowFacts(
        count=dataset.row_count,
        class_counts=counts,
        class_spans=dataset.class_spans,
        in_time=bool(dataset.roles.time_column),
        group_count=dataset.group_count,
        fold_count=dataset.fold_count,
    )
    checked = check_splitter(splitter, rows)
    for name, problem in checked.problems.items():
        found.add(f"splitter.{name}", problem)
    return Splits(
        count=checked.split_count,
        splitter=splitter,
        notices=(checked.notice,) if checked.notice else (),
    )


def _idle_folds(cv_folds: int, splitter: Splitter) -> str:
    """Says what is wrong with folds that were asked for beside a splitter which does not take them."""
    kind = SPLITTERS.get(splitter.type)
    if kind is not None and not kind.counted:
        return (
            f"is {cv_folds}, and {splitter.type} makes as many splits as the data say; leave one of the"
            " two out"
        )
    if splitter.n_splits not in (None, cv_folds):
        return (
            f"is {cv_folds}, and splitter.n_splits is {splitter.n_splits}; leave one of the two out"
        )
    return ""


def check_metric(
    found: Violations, field: str, name: str, dataset: Dataset, model_runs: Sequence[ModelRun]
) -> None:
    """Checks one metric against the data and every model run; says each problem once."""
    labels = [label for label, _ in dataset.class_counts]
    problems = {
        metric_problem(
            name,
            task=dataset.task,
            labels=labels,
            probabilities=MODEL_TYPES[each.model_type].probabilities,
            declared_positive=dataset.roles.positive_label,
        ): None
        for each in model_runs
    }
    for problem in problems:
        if problem is not None:
            found.add(field, problem)


def check_weights(
    found: Violations,
    dataset: Dataset,
    model_runs: Sequence[ModelRun],
    *,
    weighted_scoring: bool,
    metrics: Sequence[str],
) -> tuple[str, ...]:
    """Checks what the dataset's weights are to be used for. Returns: notices for people on all fits."""
    optimistic = _optimism_notices(model_runs)
    if not dataset.roles.weight_column:
        if weighted_scoring:
            found.add(
                "weighted_scoring",
                "the dataset has no weight column; upload it with one, or leave this out",
            )
        return optimistic
    for name in metrics:
        if weighted_scoring and name in METRICS and not METRICS[name].weights:
            found.add("weighted_scoring", f'"{name}" takes no weights; leave one of the two out')
    types = {each.model_type: MODEL_TYPES[each.model_type] for each in model_runs}
    return optimistic + tuple(
        f"{WEIGHTS_NOT_TAKEN}: {name} takes no weights and is fitted without those of the dataset"
        for name, kind in types.items()
        if not kind.takes_weights
    )


def _optimism_notices(model_runs: Sequence[ModelRun]) -> tuple[str, ...]:
    types = {
        each.model_type: None
        for each in model_runs
        if each.fixed_parameters.get(early_stopping.SET) == early_stopping.TEST_FOLD
    }
    return tuple(
        f"{OPTIMISTIC}: {name} stops boosting by the rows its score is measured on; set"
        f' {early_stopping.SET} to "{early_stopping.TRAINING_PART}" for scores that hold elsewhere'
        for name in types
    )

"""How every trial of a request is scored, the same for searches and for a cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.coordinator.ports import Dataset, ModelRun
from services.coordinator.service.requests import ScoringRequest
from services.coordinator.service.scoring_checks import (
    Splits,
    check_metric,
    check_splits,
    check_weights,
)
from services.core.budget import Budget
from services.core.limits import MAX_RESULT_BYTES
from services.core.objective import EvaluationSpec
from services.core.violations import Violations

_MAX_METRICS = 50
# Two times and two counts of rows, as they are sent; the scores come on top.
_LEAST_SPLIT_BYTES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedMetric:
    """A metric, and the path of the field that names it, whether the request did or not."""

    field: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """On which data, splits and metrics the trials of a request are scored.

    Attributes:
        metrics: the objective first.
        notices: for people.
    """

    request: ScoringRequest
    dataset: Dataset
    splits: Splits
    metrics: tuple[str, ...]
    notices: tuple[str, ...]

    def evaluation(self, model_run: ModelRun, budget: Budget) -> EvaluationSpec:
        """Says how the trials of one model run are evaluated."""
        return EvaluationSpec(
            dataset_id=self.dataset.dataset_id,
            dataset_hash=self.dataset.content_hash,
            model_type=model_run.model_type,
            fixed_parameters=model_run.fixed_parameters,
            steps=model_run.steps,
            cv_folds=self.splits.count,
            splitter=self.splits.splitter,
            weighted_scoring=self.request.weighted_scoring,
            return_train_scores=self.request.return_train_scores,
            metrics=self.metrics,
            random_state=self.request.random_state,
            trial_timeout_seconds=budget.trial_timeout_seconds,
        )


def check_scoring(
    found: Violations,
    request: ScoringRequest,
    *,
    dataset: Dataset,
    model_runs: Sequence[ModelRun],
    metrics: Sequence[NamedMetric],
) -> Scoring:
    """Checks splits, metrics and weights against the data and every model run."""
    before = len(found.found)
    splits = check_splits(found, request.cv_folds, request.splitter, dataset)
    if len(found.found) == before:
        _check_result(found, request, splits, len(metrics))
    for each in metrics:
        check_metric(found, each.field, each.name, dataset, model_runs)
    names = tuple(each.name for each in metrics)
    weights = check_weights(
        found,
        dataset,
        model_runs,
        weighted_scoring=request.weighted_scoring,
        metrics=names,
    )
    return Scoring(
        request=request,
        dataset=dataset,
        splits=splits,
        metrics=names,
        notices=(*splits.notices, *weights),
    )


def _check_result(found: Violations, request: ScoringRequest, splits: Splits, metrics: int) -> None:
    """Checks that a trial's result can be taken: otherwise each would fail at its end, all fits in vain."""
    per_split = _LEAST_SPLIT_BYTES + 8 * metrics * (2 if request.return_train_scores else 1)
    size = per_split * splits.count
    if size > MAX_RESULT_BYTES:
        field = "cv_folds"
        if splits.splitter is not None:
            field = "splitter.type" if splits.splitter.n_splits is None else "splitter.n_splits"
        found.add(
            field,
            f"makes {splits.count:,} splits, on which {metrics} metrics take {size:,} bytes and more, above"
            f" the limit of {MAX_RESULT_BYTES:,} for one trial's result; use"
            f" {MAX_RESULT_BYTES // per_split:,} splits or fewer"
            + (", or fewer metrics" if metrics > 1 else ""),
        )


def check_metric_count(found: Violations, field: str, names: Sequence[str]) -> None:
    """Refuses a list too long to be looked at one by one.

    Raises: InvalidRequest, with what was found before.
    """
    if len(names) > _MAX_METRICS:
        found.add(field, f"has {len(names)} members, above the limit of {_MAX_METRICS}")
        found.raise_if_any()


def named_metrics(field: str, names: Sequence[str]) -> list[NamedMetric]:
    """Gives the metrics of a list with their paths in the request."""
    return [NamedMetric(field=f"{field}[{place}]", name=name) for place, name in enumerate(names)]

"""Plans of a cross-validation: one point, several metrics."""

from __future__ import annotations

from services.coordinator.ports import Dataset, ModelRun
from services.coordinator.service.checking import check_class, check_identity, check_seed
from services.coordinator.service.planning.scoring import (
    check_metric_count,
    check_scoring,
    named_metrics,
)
from services.coordinator.service.requests import CrossValidationRequest, RequestIdentity
from services.coordinator.service.spaces import schemas_of
from services.core import presets
from services.core.budget import Budget
from services.core.metrics import default_metrics
from services.core.model_run import check_parameters
from services.core.plan import Plan
from services.core.presets import Terms
from services.core.violations import Violations


def check_cross_validation(
    request: CrossValidationRequest, identity: RequestIdentity
) -> Violations:
    """Checks what no data is needed for. Returns: what is wrong with it."""
    found = Violations()
    check_identity(found, identity)
    check_seed(found, request.random_state)
    check_class(found, request.worker_class)
    check_metric_count(found, "scoring_metrics", request.scoring_metrics)
    return found


def plan_cross_validation(
    found: Violations,
    request: CrossValidationRequest,
    *,
    model_run: ModelRun,
    dataset: Dataset,
    budget: Budget,
) -> Plan:
    """Checks the rest against the data, and plans the one trial.

    Raises: InvalidRequest, with every violation.
    """
    metrics = request.scoring_metrics or default_metrics(
        dataset.task,
        [label for label, _ in dataset.class_counts],
        declared_positive=dataset.roles.positive_label,
    )
    scoring = check_scoring(
        found,
        request,
        dataset=dataset,
        model_runs=[model_run],
        metrics=named_metrics("scoring_metrics", metrics),
    )
    for place, name in enumerate(metrics):
        if name in metrics[:place]:
            found.add(
                f"scoring_metrics[{place}]",
                f'"{name}" repeats the metric at [{metrics.index(name)}]',
            )
    with found.gathered():
        parameters = check_parameters(
            request.parameters,
            schemas_of(model_run, {name: (each,) for name, each in request.parameters.items()}),
            field="parameters",
        )
    found.raise_if_any()
    return presets.cross_validation(
        model_run_id=model_run.model_run_id,
        model_type=model_run.model_type,
        parameters=parameters,
        evaluation=scoring.evaluation(model_run, budget),
        terms=Terms(budget=budget, worker_class=request.worker_class, notices=scoring.notices),
    )

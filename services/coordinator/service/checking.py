"""Checks of requests: everything wrong is gathered by field path before anything is refused."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from services.coordinator.ports import Dataset, ModelRun
from services.coordinator.service.requests import RequestIdentity, SearchRequest
from services.core.limits import MAX_RANDOM_STATE, MAX_TRIALS_PER_RUN
from services.core.metrics import metric_problem
from services.core.model_catalog import MODEL_TYPES
from services.core.naming import unknown_name
from services.core.objective import check_folds
from services.core.plan import TUNING_METHODS
from services.core.violations import Violations

_MAX_STUDY_NAME = 200
_MAX_CONCURRENT = 1_000_000


def check_identity(found: Violations, identity: RequestIdentity) -> None:
    """Checks that the request id is a UUID, when there is one."""
    if identity.request_id and canonical_uuid(identity.request_id) is None:
        found.add(
            "request_id",
            f'"{identity.request_id[:80]}" is not a UUID; write one like '
            "3f2b8c9e-1d4a-4c6b-9a77-0e5d2f1b6c88, or leave it out",
        )


def canonical_uuid(text: str) -> str | None:
    """A UUID in its usual form; None for anything else, other spellings of UUIDs included."""
    try:
        canonical = str(uuid.UUID(text))
    except ValueError:
        return None
    return canonical if canonical == text.lower() else None


def check_search(found: Violations, request: SearchRequest) -> None:
    """Checks what all searches share and no data is needed for."""
    check_seed(found, request.random_state)
    limit = request.max_concurrent_trials
    if not 0 <= limit <= _MAX_CONCURRENT:
        found.add(
            "max_concurrent_trials",
            f"{limit} is outside 0 to {_MAX_CONCURRENT:,}; 0 sets no limit",
        )
    if len(request.study_name) > _MAX_STUDY_NAME:
        found.add(
            "study_name",
            f"has {len(request.study_name)} characters, above the limit of {_MAX_STUDY_NAME}",
        )


def check_seed(found: Violations, random_state: int) -> None:
    """Checks that a seed is one numpy takes."""
    if not 0 <= random_state <= MAX_RANDOM_STATE:
        found.add("random_state", f"{random_state} is outside 0 to {MAX_RANDOM_STATE}")


def check_trials(found: Violations, field: str, trials: int) -> None:
    """Checks a number of trials asked for."""
    if not 1 <= trials <= MAX_TRIALS_PER_RUN:
        found.add(field, f"{trials} is outside 1 to {MAX_TRIALS_PER_RUN:,}")


def check_refinement_factor(found: Violations, factor: float) -> None:
    """Checks that the factor lies in (0, 1]; NaN does not."""
    if not 0.0 < factor <= 1.0:
        found.add(
            "refinement_factor",
            f"{factor} is outside (0, 1]; 0.3 is usual, smaller narrows more, 1 keeps the ranges",
        )


def check_method(found: Violations, method: str) -> bool:
    """Checks that a method is known. Returns: whether it is."""
    if method in TUNING_METHODS:
        return True
    found.add("tuning_method", unknown_name("method", method, TUNING_METHODS))
    return False


def require_id(found: Violations, model_run_id: str) -> None:
    """Checks that a model run is named; an id that names none is the store's to refuse."""
    if not model_run_id:
        found.add("model_run_id", "is empty; name the model run, as CreateModelRun returned it")


def check_data(found: Violations, cv_folds: int, dataset: Dataset) -> list[str]:
    """Checks the number of folds against the data. Returns: notices for people."""
    counts = [count for _, count in dataset.class_counts]
    folds = check_folds(cv_folds, counts, dataset.row_count)
    if folds.problem:
        found.add("cv_folds", folds.problem)
    return [folds.notice] if folds.notice else []


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
        ): None
        for each in model_runs
    }
    for problem in problems:
        if problem is not None:
            found.add(field, problem)

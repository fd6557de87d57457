"""Checks of requests: everything wrong is gathered by field path before anything is refused."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping

from services.coordinator.service.requests import (
    ExtensionRequest,
    RequestIdentity,
    SearchRequest,
)
from services.core.budget import UNLIMITED, Budget
from services.core.errors import InvalidRequest
from services.core.limits import MAX_RANDOM_STATE, MAX_SECONDS, MAX_TRIALS_PER_RUN
from services.core.naming import unknown_name
from services.core.plan import TUNING_METHODS
from services.core.preset_size import PresetSize
from services.core.queue_naming import problem_of_worker_class
from services.core.refinement_rules import REFINEMENTS
from services.core.stopping import NO_RULES, StoppingRules
from services.core.violations import Violations

_MAX_STUDY_NAME = 200
_MAX_CONCURRENT = 1_000_000
_MOST_PRIORITY = 100
_MAX_MONEY = 1e12


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
    if not request.study_name.isprintable():
        found.add(
            "study_name",
            f"{request.study_name[:80]!r} has characters that do not show; use letters, digits and signs",
        )
    if not -_MOST_PRIORITY <= request.priority <= _MOST_PRIORITY:
        found.add(
            "priority",
            f"{request.priority} is outside {-_MOST_PRIORITY} to {_MOST_PRIORITY}; 0 is usual,"
            " higher is served first",
        )
    check_class(found, request.worker_class)
    for field, name in (("space_type", request.space_type), ("config_type", request.config_type)):
        if name and name not in known_presets():
            found.add(field, f"{name} is no preset; use one of {', '.join(known_presets())}")


def known_presets() -> list[str]:
    """The names of presets."""
    return [each.value for each in PresetSize]


def check_class(found: Violations, worker_class: str) -> None:
    """Checks that a queue can be named after a worker class."""
    if (problem := problem_of_worker_class(worker_class)) is not None:
        found.add("worker_class", problem)


def check_budget(
    found: Violations,
    limits: Mapping[str, float],
    *,
    price_per_hour: float | None,
    trial_timeout_seconds: float | None,
) -> Budget:
    """Makes a budget of the limits that were set and what the operator has set.

    Args:
        price_per_hour: the operator's; holds where the request brings none.
        trial_timeout_seconds: the operator's; the shorter of the two holds.

    Returns: the budget; one without limits when there were violations.
    """
    # Filled in first: a cost limit rests on the price and the wall limit that will hold.
    given = dict(limits)
    if price_per_hour is not None:
        given.setdefault("price_per_hour", price_per_hour)
    if trial_timeout_seconds is not None:
        asked = given.setdefault("trial_timeout_seconds", trial_timeout_seconds)
        if math.isfinite(asked) and asked > trial_timeout_seconds:
            given["trial_timeout_seconds"] = trial_timeout_seconds
    with found.gathered():
        return Budget(**given)  # type: ignore[arg-type]  # whole numbers came from whole fields
    return UNLIMITED


def check_stopping(found: Violations, field: str, rules: Mapping[str, float]) -> StoppingRules:
    """Makes stopping rules of those that were set. Returns: no rules when there were violations."""
    try:
        return StoppingRules(**rules)  # type: ignore[arg-type]  # whole numbers came from whole fields
    except InvalidRequest as error:
        for each in error.violations:
            found.add(f"{field}.{each.field}", each.description)
    return NO_RULES


def check_extension(found: Violations, request: ExtensionRequest) -> None:
    """Checks what an orchestration is to be given."""
    if not request.orchestration_id:
        found.add("orchestration_id", "is empty; name the orchestration, as it was started")
    additions: dict[str, tuple[float, float]] = {
        "additional_trials": (request.additional_trials, MAX_TRIALS_PER_RUN),
        "additional_failed_trials": (request.additional_failed_trials, MAX_TRIALS_PER_RUN),
        "additional_seconds": (request.additional_seconds, MAX_SECONDS),
        "additional_cost": (request.additional_cost, _MAX_MONEY),
    }
    for field, (value, limit) in additions.items():
        # Also what is no number at all.
        if not (math.isfinite(value) and 0 <= value <= limit):
            found.add(field, f"{value} is outside 0 to {limit:,.0f}")
    if all(value == 0 for value, _ in additions.values()):
        found.add(
            "additional_trials",
            "nothing is added; set this, additional_failed_trials, additional_seconds or"
            " additional_cost above 0",
        )


def check_seed(found: Violations, random_state: int) -> None:
    """Checks that a seed is one numpy takes."""
    if not 0 <= random_state <= MAX_RANDOM_STATE:
        found.add("random_state", f"{random_state} is outside 0 to {MAX_RANDOM_STATE}")


def check_trials(found: Violations, field: str, trials: int) -> None:
    """Checks a number of trials asked for."""
    if not 1 <= trials <= MAX_TRIALS_PER_RUN:
        found.add(field, f"{trials} is outside 1 to {MAX_TRIALS_PER_RUN:,}")


def check_refinement_factor(
    found: Violations, factor: float, field: str = "refinement_factor"
) -> None:
    """Checks that the factor lies in (0, 1]; NaN does not."""
    if not 0.0 < factor <= 1.0:
        found.add(
            field,
            f"{factor} is outside (0, 1]; 0.3 is usual, smaller narrows more, 1 keeps the ranges",
        )


def check_refinement(found: Violations, field: str, refinement: str) -> None:
    """Checks that a rule of refinement is known."""
    if refinement not in REFINEMENTS:
        found.add(field, unknown_name("refinement", refinement, REFINEMENTS))


def check_explore(found: Violations, field: str, explore: float) -> None:
    """Checks that the share of points beyond refined bounds lies in 0 to 1; NaN does not."""
    if not 0.0 <= explore <= 1.0:
        found.add(
            field,
            f"{explore} is outside 0 to 1; 0.2 is usual, 0 keeps strictly to the refined bounds",
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

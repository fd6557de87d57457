"""Extending: more trials and higher limits, for what runs and for what has ended."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from services.core.budget import Budget, Limit
from services.core.errors import FieldViolation, InvalidRequest, WrongState
from services.core.limits import MAX_INT, MAX_TRIALS_PER_RUN
from services.core.plan import BUDGETED_METHODS, LifecycleState, Plan
from services.store.ports.records import OrchestrationRecord, TuningRunRecord
from services.store.service import lifecycle
from services.store.service.ledger import Ledger
from services.store.service.reopening import Addition, add, planned_again

_LIMIT_REASONS = tuple(each.value for each in Limit)

NumberT = TypeVar("NumberT", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """What is added.

    Attributes:
        trials: for each tuning run of the last stage; the budget's trials grow by as many in all.
        failed_trials, seconds, cost: for the budget's limits of that name.

    Raises: InvalidRequest: a number is out of range, or nothing is added.
    """

    trials: int = 0
    failed_trials: int = 0
    seconds: float = 0.0
    cost: float = 0.0

    def __post_init__(self) -> None:
        """Checks all numbers."""
        values = {
            "additional_trials": (self.trials, MAX_TRIALS_PER_RUN),
            "additional_failed_trials": (self.failed_trials, MAX_INT),
            "additional_seconds": (self.seconds, math.inf),
            "additional_cost": (self.cost, math.inf),
        }
        violations = [
            FieldViolation(field=name, description=f"is {value}, must be between 0 and {most}")
            for name, (value, most) in values.items()
            if not (math.isfinite(value) and 0 <= value <= most)
        ]
        if not violations and not any(value for value, _ in values.values()):
            violations.append(
                FieldViolation(
                    field="additional_trials",
                    description="is 0 as all other additions are; at least one must be above 0",
                )
            )
        if violations:
            raise InvalidRequest(violations)


def extend(ledger: Ledger, extension: Extension) -> None:
    """Adds to an orchestration of which everything is locked.

    One that runs or is paused goes on with more. One that has COMPLETED, or that a limit has ended,
    runs again; tuning runs that a limit cut short go on where they were.

    Raises:
        InvalidRequest: something is added to a limit that is not set, or too much.
        WrongState: it was cancelled or failed for good, its last stage cannot run more trials, its
            space is used up, or a limit still leaves no room.
    """
    record = ledger.orchestration
    _check_state(record)
    trials: dict[str, int] = {}
    if extension.trials:
        last = _last_runs(ledger)
        trials = _gains(ledger, {each.tuning_run_id: extension.trials for each in last})
    budget = _raised(record.budget, extension, gained=sum(trials.values()))
    add(
        ledger,
        Addition(trials=trials, budget=budget, words=_words(extension, sum(trials.values()))),
    )


def resume_study(ledger: Ledger, plan: Plan) -> bool:
    """Adds what a plan asks for in all beyond what its study has; what cannot be added is left out.

    A study that was cancelled or failed for good stays as it is: whoever asks again sees that it ended
    and why. A limit the plan does not name, and a smaller one, change nothing.

    Returns: whether anything changed.
    """
    record = ledger.orchestration
    stored, wanted = record.budget, plan.budget
    budget = replace(
        stored,
        **{
            name: max(before, after)
            for name in ("max_trials", "max_failed_trials", "max_seconds", "max_cost")
            if (before := getattr(stored, name)) is not None
            and (after := getattr(wanted, name)) is not None
        },
    )
    runs = ledger.runs_of_stage(max(ledger.stages))
    more = {
        run.tuning_run_id: asked.trial_budget - run.trial_budget
        for run, asked in zip(runs, plan.stages[-1].tuning_runs, strict=False)
        if asked.trial_budget is not None
        and run.trial_budget is not None
        and asked.trial_budget > run.trial_budget
    }
    if not more and budget == stored:
        return False
    try:
        _check_state(record)
        trials = _gains_if_any(ledger, more)
        if not trials and budget == stored:
            return False
        add(
            ledger,
            Addition(trials=trials, budget=budget, words="the study was asked for more in all"),
        )
    except WrongState:
        return False
    return True


def _gains_if_any(ledger: Ledger, wanted: Mapping[str, int]) -> dict[str, int]:
    try:
        return _gains(ledger, wanted)
    except WrongState:
        return {}


def _check_state(record: OrchestrationRecord) -> None:
    if not record.state.is_terminal or record.state is LifecycleState.COMPLETED:
        return
    if record.state is LifecycleState.FAILED and record.reason in _LIMIT_REASONS:
        return
    why = f" ({record.reason})" if record.reason else ""
    raise WrongState(
        f"orchestration {record.orchestration_id} is {record.state.name}{why} and cannot be"
        " extended; start a new one",
        metadata={
            "kind": "orchestration",
            "id": record.orchestration_id,
            "state": record.state.name,
            "reason": record.reason,
        },
    )


def _last_runs(ledger: Ledger) -> Sequence[TuningRunRecord]:
    index = max(ledger.stages)
    method = ledger.stages[index].method
    if method not in BUDGETED_METHODS:
        raise WrongState(
            f"the last stage is {method}, which runs all its points and no more; additional_trials"
            f" needs one of {', '.join(BUDGETED_METHODS)}: start a new search",
            reason="METHOD_NOT_EXTENSIBLE",
            metadata={"method": method, "stage_index": str(index)},
        )
    return ledger.runs_of_stage(index)


def _gains(ledger: Ledger, wanted: Mapping[str, int]) -> dict[str, int]:
    """Gives the trials each tuning run gains: as many as wanted, as far as its space has points left."""
    gains: dict[str, int] = {}
    ended: list[str] = []
    numbers: list[str] = []
    for tuning_run_id, more in wanted.items():
        run = ledger.runs[tuning_run_id]
        if run.state.is_terminal and not _can_go_on(run):
            ended.append(f"{run.model_type} is {run.state.name} ({run.reason})")
            continue
        planned = planned_again(run)
        room = more
        if run.total_combinations is not None:
            room = min(more, max(0, run.total_combinations - planned))
            if room == 0:
                numbers.append(
                    f"{run.model_type}: {planned} of {run.total_combinations} points are planned"
                )
        if planned + room > MAX_TRIALS_PER_RUN:
            raise InvalidRequest(
                [
                    FieldViolation(
                        field="additional_trials",
                        description=f"is {more}: the tuning run of {run.model_type} has {planned}"
                        f" trials, the limit is {MAX_TRIALS_PER_RUN}",
                    )
                ]
            )
        if room:
            gains[tuning_run_id] = room
    if not gains and numbers:
        raise WrongState(
            f"the space has no points left ({'; '.join(numbers)}); nothing can be added to it",
            reason="SPACE_EXHAUSTED",
            metadata={"orchestration_id": ledger.orchestration.orchestration_id},
        )
    if not gains:
        raise WrongState(
            f"no tuning run of the last stage can go on: {'; '.join(ended)}",
            metadata={"orchestration_id": ledger.orchestration.orchestration_id},
        )
    return gains


def _can_go_on(run: TuningRunRecord) -> bool:
    return run.state is LifecycleState.COMPLETED or lifecycle.is_cut(run)


def _raised(budget: Budget, extension: Extension, *, gained: int) -> Budget:
    violations: list[FieldViolation] = []

    def raised(limit: str, before: NumberT | None, more: NumberT) -> NumberT | None:
        if before is not None:
            return before + more
        if more:
            violations.append(
                FieldViolation(
                    field=limit.replace("max", "additional"),
                    description=f"is {more:g}, but the search has no {limit} to add to",
                )
            )
        return None

    failed = raised("max_failed_trials", budget.max_failed_trials, extension.failed_trials)
    seconds = raised("max_seconds", budget.max_seconds, extension.seconds)
    cost = raised("max_cost", budget.max_cost, extension.cost)
    if failed is not None and failed > MAX_INT:
        violations.append(
            FieldViolation(
                field="additional_failed_trials",
                description=f"makes {failed:g}, the limit is {MAX_INT}",
            )
        )
    if violations:
        raise InvalidRequest(violations)
    return replace(
        budget,
        max_trials=None if budget.max_trials is None else budget.max_trials + gained,
        max_failed_trials=failed,
        max_seconds=seconds,
        max_cost=cost,
    )


def _words(extension: Extension, gained: int) -> str:
    parts = [
        f"{value:g} {name}"
        for name, value in (
            ("trials in all", gained),
            ("failed trials", extension.failed_trials),
            ("seconds", extension.seconds),
            ("cost", extension.cost),
        )
        if value
    ]
    return f"added: {', '.join(parts)}"

"""The end of a search by one of its limits: what runs is stopped, what has succeeded stays."""

from __future__ import annotations

from services.core.budget import Limit, limit_reached
from services.core.plan import BUDGETED_METHODS, LifecycleState
from services.core.stopping import StopReason, stop_message
from services.core.trial import in_short
from services.store.ports.records import OrchestrationRecord
from services.store.ports.transaction import Transaction
from services.store.service import lifecycle
from services.store.service.ledger import Ledger


def reached(record: OrchestrationRecord) -> Limit | None:
    """Gives the limit that ends an orchestration now; one that has ended or not begun has none.

    A paused one's clock stands, and what it can pay for may still be raised; its failures count.
    """
    if record.state not in lifecycle.ACTIVE:
        return None
    active_seconds = record.active_seconds_now
    if record.is_overdue and record.budget.max_seconds is not None:
        # Dates have microseconds: the deadline decides, not the sum.
        active_seconds = max(active_seconds, record.budget.max_seconds)
    limit = limit_reached(
        record.budget,
        failed=record.counts.failed,
        active_seconds=active_seconds,
        cost=record.cost,
        queued=record.counts.queued,
        running=record.counts.running,
        reserved_attempts=record.reserved_attempts,
    )
    if record.state is LifecycleState.PAUSED and limit is not Limit.FAILURES:
        return None
    return limit


async def end_by_limit(tx: Transaction, ledger: Ledger, limit: Limit) -> bool:
    """Ends an orchestration, of which everything is locked, because a limit is reached.

    Open trials are CANCELLED. Tuning runs and stages that have begun are COMPLETED with a success, else
    FAILED; what has not begun is CANCELLED. The orchestration is COMPLETED with a success, else FAILED;
    with too many failures FAILED in any case.

    Returns: whether workers must be told to stop.
    """
    fails = limit is Limit.FAILURES or ledger.orchestration.counts.succeeded == 0
    return await _end(
        tx,
        ledger,
        LifecycleState.FAILED if fails else LifecycleState.COMPLETED,
        reason=limit.value,
        message=_message(ledger, limit),
    )


async def end_by_rule(tx: Transaction, ledger: Ledger, reason: StopReason) -> bool:
    """Ends an orchestration, of which everything is locked, because enough was found: as by a limit.

    Returns: whether workers must be told to stop.
    """
    best = ledger.orchestration.best
    if best is None:
        raise ValueError("a stopping rule holds once there is a score")
    words = stop_message(
        ledger.orchestration.stopping, reason, best_score=best.score, best_number=best.number
    )
    if ledger.stages[max(ledger.stages)].method in BUDGETED_METHODS:
        words += "; extend it with additional_trials to go on"
    return await _end(tx, ledger, LifecycleState.COMPLETED, reason=reason.value, message=words)


async def _end(
    tx: Transaction, ledger: Ledger, state: LifecycleState, *, reason: str, message: str
) -> bool:
    # The same change may have brought a better trial.
    await ledger.tell_best()
    stop = await lifecycle.cancel_open_trials(tx, ledger, sorted(ledger.runs))
    for index, stage in sorted(ledger.stages.items()):
        if stage.state in lifecycle.ACTIVE:
            await _end_stage(tx, ledger, index, reason)
        else:
            lifecycle.cancel_stage(ledger, index, reason=reason)
    lifecycle.end_orchestration(ledger, state, reason=reason, message=message)
    return stop


async def _end_stage(tx: Transaction, ledger: Ledger, index: int, reason: str) -> None:
    for run in ledger.runs_of_stage(index):
        if run.state is LifecycleState.PENDING:
            state, message = LifecycleState.CANCELLED, ""
        elif run.state.is_terminal:
            continue
        elif run.counts.succeeded:
            state, message = LifecycleState.COMPLETED, ""
        else:
            state = LifecycleState.FAILED
            message = in_short(await tx.most_frequent_failure(run.tuning_run_id))
        lifecycle.set_run(ledger, run.tuning_run_id, state, reason=reason, message=message)
    states = {each.state for each in ledger.runs_of_stage(index)}
    completed = LifecycleState.COMPLETED in states
    ledger.update_stage(
        index,
        state=LifecycleState.COMPLETED if completed else LifecycleState.FAILED,
        reason=reason,
        ended_at=ledger.now,
    )
    lifecycle.note_stage(ledger, index)


def _message(ledger: Ledger, limit: Limit) -> str:
    record = ledger.orchestration
    budget = record.budget
    match limit:
        case Limit.FAILURES:
            return (
                f"{record.counts.failed} trials failed, the limit is {budget.max_failed_trials};"
                f" {_next_step(ledger, 'additional_failed_trials')}"
            )
        case Limit.SECONDS:
            return (
                f"the search has run for its {budget.max_seconds:g} s;"
                f" {_next_step(ledger, 'additional_seconds')}"
            )
        case Limit.COST:
            return (
                f"{record.cost:g} of {budget.max_cost:g} is spent, and a trial may cost"
                f" {budget.reservation:g}; {_next_step(ledger, 'additional_cost')}"
            )
        case Limit.TRIALS:
            return f"all {budget.max_trials} trials are spent; extend it with additional_trials to go on"


def _next_step(ledger: Ledger, addition: str) -> str:
    """Says how a search goes on that a limit ends now: trials that it cancels are not run again."""
    record = ledger.orchestration
    left = sum(
        lifecycle.planned_of(run) - run.created
        for run in ledger.runs.values()
        if not run.state.is_terminal
    )
    room = record.budget.room_for_trials(record.trials_spent)
    if left > 0 and room != 0:
        return f"extend it with {addition} to go on"
    if ledger.stages[max(ledger.stages)].method in BUDGETED_METHODS:
        return (
            f"all its trials were under way or waited, and those are cancelled: extend it with"
            f" {addition} and additional_trials to go on"
        )
    return "its last points were under way or waited, and those are cancelled: start a new search to go on"

"""How orchestrations, stages and tuning runs begin, end and follow one another."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from services.core.budget import Limit
from services.core.errors import WrongState
from services.core.event import OrchestrationChanged, StageChanged, TrialFinished
from services.core.plan import LifecycleState
from services.core.run import TrialCounts
from services.core.stopping import StopReason
from services.core.trial import TrialState
from services.store.ports.records import TrialEnd, TrialRecord, TuningRunRecord
from services.store.ports.transaction import Transaction
from services.store.service import costs
from services.store.service.ledger import Ledger, moved

ACTIVE = (LifecycleState.RUNNING, LifecycleState.PAUSED)
"""States in which a tuning run has begun and not ended."""

# Limits may be any number; dates may not.
_FURTHEST_SECONDS = 100 * 365 * 86_400.0


def begin(ledger: Ledger) -> None:
    """Starts an orchestration that was just created."""
    ledger.update(state=LifecycleState.RUNNING, started_at=ledger.now)
    start_clock(ledger)
    ledger.append(OrchestrationChanged(state=LifecycleState.RUNNING))
    _start_stage(ledger, 0)


def end_run(
    ledger: Ledger, tuning_run_id: str, state: LifecycleState, *, reason: str, message: str
) -> None:
    """Ends a tuning run whose trials have all ended, and starts what comes next.

    When the budget's trials are spent nothing follows: what has not begun is CANCELLED.
    """
    run = ledger.runs[tuning_run_id]
    if trials_are_spent(ledger) and run.created < planned_of(run):
        # It ended for want of budget, whatever it looked like to its coordinator.
        if run.created == 0:
            state, reason, message = LifecycleState.CANCELLED, Limit.TRIALS.value, ""
        elif state is LifecycleState.COMPLETED and reason != "MANUAL":
            reason = Limit.TRIALS.value
    set_run(ledger, tuning_run_id, state, reason=reason, message=message)
    fill_stage(ledger, run.stage_index)
    runs = ledger.runs_of_stage(run.stage_index)
    if all(each.state.is_terminal for each in runs):
        _end_stage(ledger, run.stage_index)


def trials_are_spent(ledger: Ledger) -> bool:
    """Whether the budget allows no further trial."""
    record = ledger.orchestration
    return record.budget.room_for_trials(record.trials_spent) == 0


def planned_of(run: TuningRunRecord) -> int:
    """Counts the trials a tuning run has when nothing ends it early; one that ended may have had fewer."""
    if not run.state.is_terminal:
        return run.counts.total
    limits = [each for each in (run.trial_budget, run.total_combinations) if each is not None]
    return max(run.created, min(limits, default=run.counts.total))


def start_clock(ledger: Ledger) -> None:
    """Counts the time from now on as time RUNNING; sets the deadline that follows from the budget."""
    record = ledger.orchestration
    left = record.budget.seconds_left(record.active_seconds)
    ledger.update(
        active_since=ledger.now,
        deadline_at=(
            None if left is None else ledger.now + timedelta(seconds=min(left, _FURTHEST_SECONDS))
        ),
    )


def stop_clock(ledger: Ledger) -> None:
    """Counts no time from now on."""
    ledger.update(
        active_seconds=ledger.orchestration.active_seconds_now, active_since=None, deadline_at=None
    )


async def cancel_open_trials(tx: Transaction, ledger: Ledger, tuning_run_ids: list[str]) -> bool:
    """Cancels every queued and running trial of tuning runs.

    Returns: whether workers must be told to stop.
    """
    trials = await tx.lock_open_trials(tuning_run_ids)
    if not trials:
        return False
    running = [each for each in trials if each.state is TrialState.RUNNING]
    await costs.leave(tx, ledger, running)
    await tx.end_trials(
        ledger.orchestration.orchestration_id,
        [
            TrialEnd(
                number=each.number,
                state=TrialState.CANCELLED,
                stop_requested=each.state is TrialState.RUNNING,
            )
            for each in trials
        ],
    )
    _note_cancelled(ledger, trials)
    return bool(running)


def pause(ledger: Ledger) -> None:
    """Pauses a running orchestration."""
    stop_clock(ledger)
    _switch(ledger, LifecycleState.RUNNING, LifecycleState.PAUSED)


def resume(ledger: Ledger) -> None:
    """Lets a paused orchestration go on."""
    start_clock(ledger)
    _switch(ledger, LifecycleState.PAUSED, LifecycleState.RUNNING)


def cancel(ledger: Ledger) -> None:
    """Ends an orchestration whose trials have all ended, by a person's wish."""
    for stage in sorted(ledger.stages):
        cancel_stage(ledger, stage)
    end_orchestration(ledger, LifecycleState.CANCELLED, reason="CANCELLED", message="")


def _switch(ledger: Ledger, before: LifecycleState, after: LifecycleState) -> None:
    ledger.update(state=after)
    ledger.append(OrchestrationChanged(state=after))
    for index, stage in sorted(ledger.stages.items()):
        if stage.state is not before:
            continue
        ledger.update_stage(index, state=after)
        for run in ledger.runs_of_stage(index):
            if run.state is before:
                set_run(ledger, run.tuning_run_id, after)
        note_stage(ledger, index)


def _start_stage(ledger: Ledger, index: int) -> None:
    # What follows on a paused orchestration's last tuning run waits for the resume too.
    state = ledger.orchestration.state
    ledger.update_stage(index, state=state, started_at=ledger.now)
    note_stage(ledger, index)
    fill_stage(ledger, index)


def fill_stage(ledger: Ledger, index: int) -> None:
    """Starts as many waiting tuning runs of a stage as may run at once; none without trials left."""
    stage = ledger.stages[index]
    if stage.state not in ACTIVE:
        return
    runs = ledger.runs_of_stage(index)
    active = sum(each.state in ACTIVE for each in runs)
    limit = stage.max_active_tuning_runs or len(runs)
    pending = [each for each in runs if each.state is LifecycleState.PENDING]
    if trials_are_spent(ledger):
        for run in pending:
            set_run(
                ledger,
                run.tuning_run_id,
                LifecycleState.CANCELLED,
                reason=Limit.TRIALS.value,
            )
        return
    for run in pending[: max(0, limit - active)]:
        ledger.update_run(run.tuning_run_id, started_at=run.started_at or ledger.now)
        set_run(ledger, run.tuning_run_id, stage.state)


def _end_stage(ledger: Ledger, index: int) -> None:
    runs = ledger.runs_of_stage(index)
    succeeded = any(each.state is LifecycleState.COMPLETED for each in runs)
    spent = trials_are_spent(ledger)
    reasons = {each.reason for each in runs}
    reason = reasons.pop() if len(reasons) == 1 else "TUNING_RUNS_ENDED"
    if succeeded:
        ledger.update_stage(
            index, state=LifecycleState.COMPLETED, reason=reason, ended_at=ledger.now
        )
        note_stage(ledger, index)
        if index + 1 in ledger.stages and not spent:
            _start_stage(ledger, index + 1)
            return
        _cancel_later(ledger, index, reason=Limit.TRIALS.value)
        cut = any(
            each.reason == Limit.TRIALS.value and is_cut(each) for each in ledger.runs.values()
        )
        end_orchestration(
            ledger,
            LifecycleState.COMPLETED,
            reason=Limit.TRIALS.value if cut else "COMPLETED",
            message="",
        )
        return
    message = _failure_of(runs)
    ledger.update_stage(
        index, state=LifecycleState.FAILED, reason=reason, message=message, ended_at=ledger.now
    )
    note_stage(ledger, index)
    if spent and ledger.orchestration.counts.succeeded:
        _cancel_later(ledger, index, reason=Limit.TRIALS.value)
        end_orchestration(
            ledger, LifecycleState.COMPLETED, reason=Limit.TRIALS.value, message=message
        )
        return
    _cancel_later(ledger, index, reason="CANCELLED")
    stage = ledger.stages[index]
    end_orchestration(
        ledger,
        LifecycleState.FAILED,
        reason=reason,
        message=f"stage {index + 1} ({stage.method}) failed: {message or reason}",
    )


def _cancel_later(ledger: Ledger, index: int, *, reason: str) -> None:
    for later in sorted(ledger.stages):
        if later > index:
            cancel_stage(ledger, later, reason=reason)


# What ends a plan before its end.
_EARLY_ENDS = tuple(each.value for each in (*Limit, *StopReason))


def is_cut(run: TuningRunRecord) -> bool:
    """Whether a limit or a rule of the whole search ended a tuning run before its plan did."""
    if not run.state.is_terminal or run.reason not in _EARLY_ENDS or run.stop_reason:
        return False
    # Of a tuning run that has had all its own trials the same reason is told.
    return run.reason != Limit.TRIALS.value or run.created < planned_of(run)


def _failure_of(runs: list[TuningRunRecord]) -> str:
    told = [each for each in runs if each.message]
    if len({each.message for each in told}) == 1:
        return told[0].message
    return "; ".join(f"{each.model_type}: {each.message}" for each in told)[:2000]


def cancel_stage(ledger: Ledger, index: int, *, reason: str = "CANCELLED") -> None:
    """Ends a stage, unless it has ended, whose trials have all ended, and its tuning runs as CANCELLED."""
    if ledger.stages[index].state.is_terminal:
        return
    for run in ledger.runs_of_stage(index):
        if not run.state.is_terminal:
            set_run(ledger, run.tuning_run_id, LifecycleState.CANCELLED, reason=reason, message="")
    ledger.update_stage(index, state=LifecycleState.CANCELLED, reason=reason, ended_at=ledger.now)
    note_stage(ledger, index)


def end_orchestration(ledger: Ledger, state: LifecycleState, *, reason: str, message: str) -> None:
    """Ends an orchestration whose stages have all ended; its log ends here unless it is reopened."""
    stop_clock(ledger)
    ledger.update(state=state, reason=reason, message=message, ended_at=ledger.now)
    ledger.append(OrchestrationChanged(state=state, reason=reason, message=message, final=True))


def set_run(
    ledger: Ledger,
    tuning_run_id: str,
    state: LifecycleState,
    *,
    reason: str = "",
    message: str = "",
) -> TuningRunRecord:
    """Gives a tuning run a state, and tells it."""
    ended_at = ledger.now if state.is_terminal else None
    counts = ledger.runs[tuning_run_id].counts
    shrinks = state is LifecycleState.COMPLETED or (state.is_terminal and reason in _EARLY_ENDS)
    if shrinks and counts.completed < counts.total:
        # Its space or a limit was used up, or a person ended it: no more will come, and all there is
        # has ended.
        ledger.count(tuning_run_id, TrialCounts(total=counts.completed - counts.total))
    run = ledger.update_run(
        tuning_run_id, state=state, reason=reason, message=message, ended_at=ended_at
    )
    ledger.append(
        StageChanged(
            stage_index=run.stage_index,
            tuning_run_id=tuning_run_id,
            state=state,
            reason=reason,
            message=message,
            planned_trials=run.counts.total,
        )
    )
    return run


def note_stage(ledger: Ledger, index: int) -> None:
    """Tells the state of a stage."""
    stage = ledger.stages[index]
    ledger.append(
        StageChanged(
            stage_index=index,
            state=stage.state,
            reason=stage.reason,
            message=stage.message,
            planned_trials=sum(each.counts.total for each in ledger.runs_of_stage(index)),
        )
    )


def _note_cancelled(ledger: Ledger, trials: Sequence[TrialRecord]) -> None:
    by_run: dict[str, list[TrialRecord]] = {}
    for trial in trials:
        by_run.setdefault(trial.tuning_run_id, []).append(trial)
        sequence = ledger.append(
            TrialFinished(
                number=trial.number,
                attempt=trial.attempt,
                state=TrialState.CANCELLED,
                tuning_run_id=trial.tuning_run_id,
            )
        )
        ledger.update_run(trial.tuning_run_id, last_end_sequence=sequence)
    for tuning_run_id, each in by_run.items():
        ledger.count(tuning_run_id, moved([(trial.state, TrialState.CANCELLED) for trial in each]))


def refuse_ended(kind: str, identifier: str, state: LifecycleState, verb: str) -> WrongState:
    """Makes the error for something that has ended and cannot do `verb` any more."""
    return WrongState(
        f"{kind} {identifier} is {state.name} and cannot {verb}",
        metadata={"kind": kind, "id": identifier, "state": state.name},
    )

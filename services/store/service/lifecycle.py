"""How orchestrations, stages and tuning runs begin, end and follow one another."""

from __future__ import annotations

from collections.abc import Sequence

from services.core.errors import WrongState
from services.core.event import OrchestrationChanged, StageChanged, TrialFinished
from services.core.plan import LifecycleState
from services.core.run import TrialCounts
from services.core.trial import TrialState
from services.store.ports.records import TrialEnd, TrialRecord, TuningRunRecord
from services.store.ports.transaction import Transaction
from services.store.service.ledger import Ledger, moved

_ACTIVE = (LifecycleState.RUNNING, LifecycleState.PAUSED)


def begin(ledger: Ledger) -> None:
    """Starts an orchestration that was just created."""
    ledger.update(state=LifecycleState.RUNNING, started_at=ledger.now)
    ledger.append(OrchestrationChanged(state=LifecycleState.RUNNING))
    _start_stage(ledger, 0)


def end_run(
    ledger: Ledger, tuning_run_id: str, state: LifecycleState, *, reason: str, message: str
) -> None:
    """Ends a tuning run whose trials have all ended, and starts what comes next."""
    run = _set_run(ledger, tuning_run_id, state, reason=reason, message=message)
    _fill_stage(ledger, run.stage_index)
    runs = ledger.runs_of_stage(run.stage_index)
    if all(each.state.is_terminal for each in runs):
        _end_stage(ledger, run.stage_index)


async def cancel_open_trials(tx: Transaction, ledger: Ledger, tuning_run_ids: list[str]) -> bool:
    """Cancels every queued and running trial of tuning runs.

    Returns: whether workers must be told to stop.
    """
    trials = await tx.lock_open_trials(tuning_run_ids)
    if not trials:
        return False
    running = [each for each in trials if each.state is TrialState.RUNNING]
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
    _switch(ledger, LifecycleState.RUNNING, LifecycleState.PAUSED)


def resume(ledger: Ledger) -> None:
    """Lets a paused orchestration go on."""
    _switch(ledger, LifecycleState.PAUSED, LifecycleState.RUNNING)


def cancel(ledger: Ledger) -> None:
    """Ends an orchestration whose trials have all ended, by a person's wish."""
    for stage in sorted(ledger.stages):
        _cancel_stage(ledger, stage)
    _end_orchestration(ledger, LifecycleState.CANCELLED, reason="CANCELLED", message="")


def _switch(ledger: Ledger, before: LifecycleState, after: LifecycleState) -> None:
    ledger.update(state=after)
    ledger.append(OrchestrationChanged(state=after))
    for index, stage in sorted(ledger.stages.items()):
        if stage.state is not before:
            continue
        ledger.update_stage(index, state=after)
        for run in ledger.runs_of_stage(index):
            if run.state is before:
                _set_run(ledger, run.tuning_run_id, after)
        _note_stage(ledger, index)


def _start_stage(ledger: Ledger, index: int) -> None:
    # What follows on a paused orchestration's last tuning run waits for the resume too.
    state = ledger.orchestration.state
    ledger.update_stage(index, state=state, started_at=ledger.now)
    _note_stage(ledger, index)
    _fill_stage(ledger, index)


def _fill_stage(ledger: Ledger, index: int) -> None:
    stage = ledger.stages[index]
    if stage.state not in _ACTIVE:
        return
    runs = ledger.runs_of_stage(index)
    active = sum(each.state in _ACTIVE for each in runs)
    limit = stage.max_active_tuning_runs or len(runs)
    pending = [each for each in runs if each.state is LifecycleState.PENDING]
    for run in pending[: max(0, limit - active)]:
        ledger.update_run(run.tuning_run_id, started_at=ledger.now)
        _set_run(ledger, run.tuning_run_id, stage.state)


def _end_stage(ledger: Ledger, index: int) -> None:
    runs = ledger.runs_of_stage(index)
    succeeded = any(each.state is LifecycleState.COMPLETED for each in runs)
    reasons = {each.reason for each in runs}
    reason = reasons.pop() if len(reasons) == 1 else "TUNING_RUNS_ENDED"
    if succeeded:
        ledger.update_stage(
            index, state=LifecycleState.COMPLETED, reason=reason, ended_at=ledger.now
        )
        _note_stage(ledger, index)
        if index + 1 in ledger.stages:
            _start_stage(ledger, index + 1)
        else:
            _end_orchestration(ledger, LifecycleState.COMPLETED, reason="COMPLETED", message="")
        return
    message = _failure_of(runs)
    ledger.update_stage(
        index, state=LifecycleState.FAILED, reason=reason, message=message, ended_at=ledger.now
    )
    _note_stage(ledger, index)
    for later in sorted(ledger.stages):
        if later > index:
            _cancel_stage(ledger, later)
    stage = ledger.stages[index]
    _end_orchestration(
        ledger,
        LifecycleState.FAILED,
        reason=reason,
        message=f"stage {index} ({stage.method}) failed: {message or reason}",
    )


def _failure_of(runs: list[TuningRunRecord]) -> str:
    told = [each for each in runs if each.message]
    if len({each.message for each in told}) == 1:
        return told[0].message
    return "; ".join(f"{each.model_type}: {each.message}" for each in told)[:2000]


def _cancel_stage(ledger: Ledger, index: int) -> None:
    if ledger.stages[index].state.is_terminal:
        return
    for run in ledger.runs_of_stage(index):
        if not run.state.is_terminal:
            _set_run(
                ledger, run.tuning_run_id, LifecycleState.CANCELLED, reason="CANCELLED", message=""
            )
    ledger.update_stage(
        index, state=LifecycleState.CANCELLED, reason="CANCELLED", ended_at=ledger.now
    )
    _note_stage(ledger, index)


def _end_orchestration(ledger: Ledger, state: LifecycleState, *, reason: str, message: str) -> None:
    ledger.update(state=state, reason=reason, message=message, ended_at=ledger.now)
    ledger.append(OrchestrationChanged(state=state, reason=reason, message=message, final=True))


def _set_run(
    ledger: Ledger,
    tuning_run_id: str,
    state: LifecycleState,
    *,
    reason: str = "",
    message: str = "",
) -> TuningRunRecord:
    ended_at = ledger.now if state.is_terminal else None
    counts = ledger.runs[tuning_run_id].counts
    if state is LifecycleState.COMPLETED and counts.completed < counts.total:
        # Its space was used up, or a person ended it: no more will come, and all there is has ended.
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


def _note_stage(ledger: Ledger, index: int) -> None:
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

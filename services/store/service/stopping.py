"""Stopping rules: judged with every trial that ends, carried out in the transaction it ends in."""

from __future__ import annotations

from services.core.event import Notice, StageChanged
from services.core.run import TrialCounts
from services.core.stopping import StopReason, follow, stop_message
from services.core.trial import TrialState
from services.store.ports.records import TrialEnd, TrialRecord
from services.store.ports.transaction import Transaction
from services.store.service import lifecycle
from services.store.service.endings import end_by_rule
from services.store.service.ledger import Ledger


class Stops:
    """Follows the ends of trials, one after another, and notes which rules they fulfil."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.search: StopReason | None = None
        self.runs: dict[str, StopReason] = {}

    def include(self, trial: TrialRecord) -> bool:
        """Whether a trial is one of those that a rule has stopped already."""
        return self.search is not None or trial.tuning_run_id in self.runs

    def take(self, trial: TrialRecord, end: TrialEnd) -> None:
        """Takes note of a trial that ended, before it is offered as the best."""
        if end.state not in (TrialState.SUCCEEDED, TrialState.PRUNED):
            return
        ledger = self._ledger
        record = ledger.orchestration
        if record.stopping.any and record.state in lifecycle.ACTIVE:
            best = None if record.best is None else record.best.score
            trend, self.search = follow(
                record.stopping, record.trend, score=end.score, best_before=best
            )
            ledger.update(trend=trend)
        run = ledger.runs[trial.tuning_run_id]
        if run.stopping.any and run.state in lifecycle.ACTIVE:
            best = None if run.best is None else run.best.score
            trend, reason = follow(run.stopping, run.trend, score=end.score, best_before=best)
            ledger.update_run(trial.tuning_run_id, trend=trend)
            if reason is not None:
                self.runs[trial.tuning_run_id] = reason


async def carry_out(tx: Transaction, ledger: Ledger, stops: Stops) -> bool:
    """Ends what fulfilled a rule: the whole orchestration, of which everything is locked, or tuning runs.

    A tuning run's open trials are CANCELLED and it gets no more; its coordinator closes it, with the
    space refined for the next stage.

    Returns: whether workers must be told to stop.
    """
    if stops.search is not None:
        return await end_by_rule(tx, ledger, stops.search)
    stop = False
    for tuning_run_id, reason in sorted(stops.runs.items()):
        stop |= await _stop_run(tx, ledger, tuning_run_id, reason)
    return stop


async def _stop_run(
    tx: Transaction, ledger: Ledger, tuning_run_id: str, reason: StopReason
) -> bool:
    stop = await lifecycle.cancel_open_trials(tx, ledger, [tuning_run_id])
    run = ledger.runs[tuning_run_id]
    if run.best is None:
        raise ValueError("a stopping rule holds once there is a score")
    message = stop_message(
        run.stopping, reason, best_score=run.best.score, best_number=run.best.number
    )
    ledger.count(tuning_run_id, TrialCounts(total=run.created - run.counts.total))
    run = ledger.update_run(tuning_run_id, stop_reason=reason.value, message=message)
    ledger.append(Notice(reason=reason.value, message=message, tuning_run_id=tuning_run_id))
    sequence = ledger.append(
        StageChanged(
            stage_index=run.stage_index,
            tuning_run_id=tuning_run_id,
            state=run.state,
            reason=reason.value,
            message=message,
            planned_trials=run.counts.total,
        )
    )
    # What a coordinator decided before it knew must not pass.
    ledger.update_run(tuning_run_id, last_end_sequence=sequence)
    return stop

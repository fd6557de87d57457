"""Trials that leave RUNNING without a result: lost with their worker, or given back."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from services.core.event import TrialFinished, TrialRequeued
from services.core.trial import FailureKind, TrialKey, TrialState
from services.store.ports.records import TrialEnd, TrialRecord, TrialRequeue
from services.store.ports.transaction import Storage, Transaction
from services.store.ports.workforce import ChangeSignal
from services.store.service.grouping import by_orchestration
from services.store.service.ledger import Ledger, moved
from services.store.service.verdicts import after_loss, handed_back, lost_for_good


class Requeueing:
    """Queues trials again under a new attempt.

    Args:
        random: for the jitter of delays.
    """

    def __init__(self, storage: Storage, signal: ChangeSignal, random: Random) -> None:
        self._storage = storage
        self._signal = signal
        self._random = random

    async def lost(self, session_id: str, trials: Sequence[TrialKey]) -> int:
        """Queues trials again that run under a session which lost them: one strike each.

        Returns: how many left RUNNING; those that no longer run as this attempt are left alone.
        """
        return await self._requeue(session_id, trials, lost=True)

    async def handed_back(self, session_id: str, trials: Sequence[TrialKey]) -> int:
        """Queues trials again that a worker gives up: no strike, to be handed out at once.

        Returns: how many left RUNNING; those that no longer run as this attempt are left alone.
        """
        return await self._requeue(session_id, trials, lost=False)

    async def _requeue(self, session_id: str, trials: Sequence[TrialKey], *, lost: bool) -> int:
        count = 0
        for orchestration_id, places in by_orchestration(trials):
            attempts = {trials[place].number: trials[place].attempt for place in places}
            async with self._storage.transaction() as tx:
                record = await tx.lock_orchestration(orchestration_id)
                if record is None:
                    continue
                numbers = sorted(attempts)
                runs = await tx.lock_tuning_runs_of_trials(orchestration_id, numbers)
                ledger = Ledger(tx, record, runs=runs)
                locked = [
                    each
                    for each in await tx.lock_trials(orchestration_id, numbers)
                    if each.attempt == attempts[each.number]
                ]
                running = [
                    each
                    for each in locked
                    if each.state is TrialState.RUNNING and each.session_id == session_id
                ]
                if running:
                    await self._apply(tx, ledger, running, lost=lost)
                    await ledger.save()
            count += len(running)
            if running:
                self._signal.committed(orchestration_id)
        return count

    async def _apply(
        self, tx: Transaction, ledger: Ledger, trials: Sequence[TrialRecord], *, lost: bool
    ) -> None:
        requeues: list[TrialRequeue] = []
        ends: list[TrialEnd] = []
        cause = FailureKind.LOST if lost else FailureKind.INFRA
        for trial in trials:
            requeue = after_loss(trial, ledger.now, self._random) if lost else handed_back(trial)
            if requeue is None:
                end = lost_for_good(trial)
                ends.append(end)
                _note_end(ledger, trial, end)
                continue
            requeues.append(requeue)
            ledger.count(trial.tuning_run_id, moved([(trial.state, TrialState.QUEUED)]))
            ledger.append(TrialRequeued(number=trial.number, attempt=requeue.attempt, cause=cause))
        orchestration_id = ledger.orchestration.orchestration_id
        if requeues:
            await tx.requeue_trials(orchestration_id, requeues)
        if ends:
            await tx.end_trials(orchestration_id, ends)


def _note_end(ledger: Ledger, trial: TrialRecord, end: TrialEnd) -> None:
    ledger.count(trial.tuning_run_id, moved([(trial.state, end.state)]))
    sequence = ledger.append(
        TrialFinished(
            number=trial.number,
            attempt=trial.attempt,
            state=end.state,
            tuning_run_id=trial.tuning_run_id,
            failure=end.failure,
        )
    )
    ledger.update_run(trial.tuning_run_id, last_end_sequence=sequence)

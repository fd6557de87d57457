"""Trials that leave RUNNING without a result: lost with their worker, or given back."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import structlog

from services.core.budget import Limit
from services.core.event import TrialFinished, TrialRequeued
from services.core.trial import FailureKind, TrialKey, TrialState
from services.store.ports.records import TrialEnd, TrialRecord, TrialRequeue
from services.store.ports.transaction import Storage, Transaction
from services.store.ports.workforce import ChangeSignal
from services.store.service import costs
from services.store.service.endings import end_by_limit, reached
from services.store.service.grouping import by_orchestration
from services.store.service.ledger import Ledger, moved
from services.store.service.loading import load_for_ends
from services.store.service.verdicts import after_loss, handed_back, lost_for_good

logger = structlog.get_logger()


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
        failed: Exception | None = None
        for orchestration_id, places in by_orchestration(trials):
            mine = [trials[place] for place in places]
            try:
                count += await self._requeue_one(session_id, orchestration_id, mine, lost=lost)
            except Exception as error:
                # One orchestration that cannot be changed now must not hold the others' trials.
                failed = failed or error
                logger.warning(
                    "trials not queued again",
                    session_id=session_id,
                    orchestration_id=orchestration_id,
                    exc_info=error,
                )
        if failed is not None:
            raise failed
        return count

    async def _requeue_one(
        self, session_id: str, orchestration_id: str, trials: Sequence[TrialKey], *, lost: bool
    ) -> int:
        attempts = {(each.number, each.attempt) for each in trials}
        async with self._storage.transaction() as tx:
            numbers = sorted({number for number, _ in attempts})
            ledger = await load_for_ends(
                tx, orchestration_id, numbers, failing=len(numbers) if lost else 0
            )
            if ledger is None:
                return 0
            held = [
                each
                for each in await tx.lock_trials(orchestration_id, numbers)
                if (each.number, each.attempt) in attempts and each.session_id == session_id
            ]
            running = [each for each in held if each.state is TrialState.RUNNING]
            # Given up by their worker after they were cancelled: what they reserved is free again.
            stopped = [each for each in held if each.state is TrialState.CANCELLED and not lost]
            stop = False
            if running:
                stop = await self._apply(tx, ledger, running, lost=lost)
            if stopped:
                await costs.leave(tx, ledger, stopped, handed_back=True)
            if running or stopped:
                await ledger.save()
        if running:
            self._signal.committed(orchestration_id)
        if stop:
            self._signal.stops_requested()
        return len(running)

    async def _apply(
        self, tx: Transaction, ledger: Ledger, trials: Sequence[TrialRecord], *, lost: bool
    ) -> bool:
        """Returns: whether workers must be told to stop: too many trials have failed now."""
        requeues: list[TrialRequeue] = []
        ends: list[TrialEnd] = []
        cause = FailureKind.LOST if lost else FailureKind.INFRA
        over = False
        for trial in trials:
            requeue = after_loss(trial, ledger.now, self._random) if lost else handed_back(trial)
            if requeue is None:
                end = lost_for_good(trial)
                ends.append(end)
                _note_end(ledger, trial, end)
                if over := reached(ledger.orchestration) is Limit.FAILURES:
                    # What still runs is cancelled below.
                    break
                continue
            requeues.append(requeue)
            ledger.count(trial.tuning_run_id, moved([(trial.state, TrialState.QUEUED)]))
            ledger.append(TrialRequeued(number=trial.number, attempt=requeue.attempt, cause=cause))
        orchestration_id = ledger.orchestration.orchestration_id
        if requeues:
            await tx.requeue_trials(orchestration_id, requeues)
        if ends:
            await tx.end_trials(orchestration_id, ends)
        left = trials[: len(requeues) + len(ends)]
        await costs.leave(tx, ledger, left, handed_back=not lost)
        if over:
            return await end_by_limit(tx, ledger, Limit.FAILURES)
        return False


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

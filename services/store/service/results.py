"""Results: folds as they are scored, and the ends of trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

from services.core.errors import FieldViolation, InvalidRequest
from services.core.event import FoldScored, TrialFinished, TrialRequeued
from services.core.trial import Failure, FailureKind, TrialKey, TrialResult, TrialState
from services.store.ports.records import TrialEnd, TrialRecord, TrialRequeue
from services.store.ports.results import FinishOutcome, FoldReport, Order, OrderKind
from services.store.ports.transaction import Storage, Transaction
from services.store.ports.workforce import ChangeSignal
from services.store.service.grouping import by_orchestration
from services.store.service.identifiers import id_or_none
from services.store.service.ledger import Ledger, moved
from services.store.service.verdicts import after_loss, judged, retried

# Means follow the latest trials: durations drift as a search moves through its space.
_MEASURED_WINDOW = 50


class Results:
    """Takes what workers computed; every answer is final for the worker.

    Args:
        random: for the jitter of delays.
    """

    def __init__(self, storage: Storage, signal: ChangeSignal, random: Random) -> None:
        self._storage = storage
        self._signal = signal
        self._random = random

    async def finish(self, results: Sequence[TrialResult]) -> list[FinishOutcome]:
        """Ends trials, one transaction per orchestration.

        DONE: it counts. DUPLICATE: the same attempt ended the trial before. FENCED: the attempt is not
        the trial's any more, and it is not a success that comes late, which is taken once.

        Returns: an outcome per result, in order.
        Raises: InvalidRequest: a state is not one a trial can end in.
        """
        _check_states(results)
        outcomes = [FinishOutcome.FENCED] * len(results)
        for orchestration_id, places in by_orchestration([each.trial for each in results]):
            mine = [results[place] for place in places]
            answers = await self._finish(orchestration_id, mine)
            for place, answer in zip(places, answers, strict=True):
                outcomes[place] = answer
        return outcomes

    async def _finish(
        self, orchestration_id: str, results: Sequence[TrialResult]
    ) -> list[FinishOutcome]:
        async with self._storage.transaction() as tx:
            record = await tx.lock_orchestration(orchestration_id)
            if record is None:
                return [FinishOutcome.FENCED] * len(results)
            numbers = sorted({each.trial.number for each in results})
            runs = await tx.lock_tuning_runs_of_trials(orchestration_id, numbers)
            ledger = Ledger(tx, record, runs=runs)
            trials = {each.number: each for each in await tx.lock_trials(orchestration_id, numbers)}
            finish = _Finish(ledger, trials, self._random)
            outcomes = [finish.take(each) for each in results]
            if finish.ends:
                await tx.end_trials(orchestration_id, finish.ends)
            if finish.requeues:
                await tx.requeue_trials(orchestration_id, finish.requeues)
            if finish.ends or finish.requeues:
                finish.settle()
                await ledger.save()
        if finish.ends or finish.requeues:
            self._signal.committed(orchestration_id)
        if any(each.stop_requested for each in finish.ends):
            self._signal.stops_requested()
        return outcomes

    async def report_folds(self, folds: Sequence[FoldReport]) -> list[Order]:
        """Appends scored folds of running trials to the log; each split of an attempt once, in order.

        Returns: orders about trials that must stop: ended, or of another attempt by now.
        """
        orders: dict[TrialKey, None] = {}
        for orchestration_id, places in by_orchestration([each.trial for each in folds]):
            mine = [folds[place] for place in places]
            async with self._storage.transaction() as tx:
                dropped, appended = await _report(tx, orchestration_id, mine)
            orders.update(dict.fromkeys(dropped))
            if appended:
                self._signal.committed(orchestration_id)
        unknown = [each.trial for each in folds if id_or_none(each.trial.orchestration_id) is None]
        orders.update(dict.fromkeys(unknown))
        return [Order(kind=OrderKind.CANCEL, trial=each) for each in orders]


class _Finish:
    """Decides about the results of one orchestration, one after another."""

    def __init__(self, ledger: Ledger, trials: dict[int, TrialRecord], random: Random) -> None:
        self._ledger = ledger
        self._random = random
        self._trials = trials
        self._durations: dict[str, list[float]] = {}
        self._ended: dict[int, int] = {}
        self._moves: dict[str, list[tuple[TrialState, TrialState]]] = {}
        self._last_ends: dict[str, int] = {}
        self.ends: list[TrialEnd] = []
        self.requeues: list[TrialRequeue] = []

    def take(self, result: TrialResult) -> FinishOutcome:
        trial = self._trials.get(result.trial.number)
        attempt = result.trial.attempt
        if trial is None:
            return FinishOutcome.FENCED
        if trial.number in self._ended:
            same = self._ended[trial.number] == attempt
            return FinishOutcome.DUPLICATE if same else FinishOutcome.FENCED
        if trial.state.is_terminal:
            same = trial.finished_attempt == attempt
            return FinishOutcome.DUPLICATE if same else FinishOutcome.FENCED
        end = judged(result)
        current = attempt == trial.attempt and trial.state is TrialState.RUNNING
        late_success = attempt < trial.attempt and end.state is TrialState.SUCCEEDED
        if not current and not late_success:
            return FinishOutcome.FENCED
        if current and end.failure is not None:
            requeue = (
                # Its worker's trouble, not its own: as when the worker is lost.
                after_loss(trial, self._ledger.now, self._random)
                if end.failure.kind is FailureKind.INFRA
                else retried(trial, end.failure.kind)
            )
            if requeue is not None:
                self._requeue(trial, requeue, end.failure.kind)
                return FinishOutcome.DONE
        self._end(trial, result, end, still_runs=trial.state is TrialState.RUNNING and not current)
        return FinishOutcome.DONE

    def settle(self) -> None:
        """Updates counters, last ends and mean durations, once for the whole batch."""
        for tuning_run_id, moves in self._moves.items():
            self._ledger.count(tuning_run_id, moved(moves))
        for tuning_run_id, sequence in self._last_ends.items():
            self._ledger.update_run(tuning_run_id, last_end_sequence=sequence)
        for tuning_run_id, durations in self._durations.items():
            run = self._ledger.runs[tuning_run_id]
            batch = math.fsum(durations) / len(durations)
            known = min(run.measured_trials, _MEASURED_WINDOW)
            before = run.mean_duration or 0.0
            mean = before + (batch - before) * len(durations) / (known + len(durations))
            self._ledger.update_run(
                tuning_run_id,
                measured_trials=run.measured_trials + len(durations),
                mean_duration=mean,
            )

    def _end(
        self, trial: TrialRecord, result: TrialResult, end: TrialEnd, *, still_runs: bool
    ) -> None:
        failure = end.failure
        if failure is not None and failure.kind is FailureKind.CRASH and _on_another(trial):
            failure = Failure(
                kind=FailureKind.POISON,
                message=f"processes on two workers ({trial.crash_worker}, {trial.worker}) died of"
                f" it: {failure.message}",
            )
        ledger = self._ledger
        self.ends.append(
            TrialEnd(
                number=trial.number,
                state=end.state,
                finished_attempt=end.finished_attempt,
                score=end.score,
                metrics=end.metrics,
                failure=failure,
                fit_seconds=end.fit_seconds,
                score_seconds=end.score_seconds,
                duration_seconds=end.duration_seconds,
                stop_requested=still_runs,
            )
        )
        self._ended[trial.number] = result.trial.attempt
        self._move(trial, end.state)
        self._last_ends[trial.tuning_run_id] = ledger.append(
            TrialFinished(
                number=trial.number,
                attempt=result.trial.attempt,
                state=end.state,
                tuning_run_id=trial.tuning_run_id,
                score=end.score,
                split_scores=end.metrics[0].scores if end.metrics else (),
                failure=failure,
                duration_seconds=end.duration_seconds,
            )
        )
        if end.score is not None:
            ledger.offer_best(trial, end.score)
        if end.state in (TrialState.SUCCEEDED, TrialState.FAILED):
            self._durations.setdefault(trial.tuning_run_id, []).append(end.duration_seconds)

    def _requeue(self, trial: TrialRecord, requeue: TrialRequeue, cause: FailureKind) -> None:
        self.requeues.append(requeue)
        # A second result for the same attempt in this batch is of an old attempt by now.
        self._ended[trial.number] = -1
        self._move(trial, TrialState.QUEUED)
        self._ledger.append(
            TrialRequeued(number=trial.number, attempt=requeue.attempt, cause=cause)
        )

    def _move(self, trial: TrialRecord, state: TrialState) -> None:
        self._moves.setdefault(trial.tuning_run_id, []).append((trial.state, state))


def _on_another(trial: TrialRecord) -> bool:
    return bool(trial.crash_strikes) and trial.crash_worker not in ("", trial.worker)


async def _report(
    tx: Transaction, orchestration_id: str, folds: Sequence[FoldReport]
) -> tuple[list[TrialKey], bool]:
    """Returns: attempts to stop, and whether anything was appended."""
    record = await tx.lock_orchestration(orchestration_id)
    if record is None:
        return [each.trial for each in folds], False
    ledger = Ledger(tx, record, runs=())
    numbers = sorted({each.trial.number for each in folds})
    trials = {each.number: each for each in await tx.lock_trials(orchestration_id, numbers)}
    dropped: list[TrialKey] = []
    reported = {each.number: each.reported_splits for each in trials.values()}
    for fold in sorted(folds, key=lambda each: (each.trial.number, each.split)):
        trial = trials.get(fold.trial.number)
        if (
            trial is None
            or trial.state is not TrialState.RUNNING
            or trial.attempt != fold.trial.attempt
        ):
            dropped.append(fold.trial)
            continue
        # A report that is repeated after its answer was lost adds nothing.
        if fold.split < reported[trial.number] or not math.isfinite(fold.score):
            continue
        reported[trial.number] = fold.split + 1
        ledger.append(
            FoldScored(
                number=trial.number, attempt=trial.attempt, split=fold.split, score=fold.score
            )
        )
    changed = [
        (number, splits)
        for number, splits in sorted(reported.items())
        if splits != trials[number].reported_splits
    ]
    if changed:
        await tx.set_reported_splits(orchestration_id, changed)
        await ledger.save()
    return dropped, bool(changed)


def _check_states(results: Sequence[TrialResult]) -> None:
    allowed = (TrialState.SUCCEEDED, TrialState.FAILED, TrialState.PRUNED)
    violations = [
        FieldViolation(
            field=f"results[{place}].state",
            description=f"is {each.state.name}, must be SUCCEEDED, FAILED or PRUNED",
        )
        for place, each in enumerate(results)
        if each.state not in allowed
    ]
    if violations:
        raise InvalidRequest(violations)

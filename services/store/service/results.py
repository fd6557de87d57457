"""Results: the ends of trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from services.core.budget import Limit
from services.core.errors import FieldViolation, InvalidRequest
from services.core.event import TrialFinished, TrialRequeued
from services.core.pruning import PruneDecision, Threshold, place_of
from services.core.trial import Failure, FailureKind, TrialKey, TrialResult, TrialState
from services.store.ports.records import TrialEnd, TrialRecord, TrialRequeue
from services.store.ports.results import Finished, FinishOutcome
from services.store.ports.transaction import Storage
from services.store.ports.workforce import ChangeSignal
from services.store.service import costs, steps
from services.store.service.endings import end_by_limit, reached
from services.store.service.fencing import believed_of
from services.store.service.grouping import by_orchestration
from services.store.service.identifiers import id_or_none
from services.store.service.ledger import Ledger, moved, thresholds_of
from services.store.service.loading import load_for_ends
from services.store.service.prunes import checked_prune, fits_saved
from services.store.service.stopping import Stops, carry_out
from services.store.service.verdicts import after_trouble, judged, retried

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

    async def finish(self, session_id: str, results: Sequence[TrialResult]) -> Finished:
        """Ends trials, one transaction per orchestration.

        DONE: it counts. DUPLICATE: the same attempt ended the trial before. FENCED: the attempt is not
        the trial's any more, and it is not a success that comes late, which is taken once; or it is not
        the session's. A PRUNED trial that could still be among those to keep is tried again.

        Args:
            session_id: the one the attempts were claimed under; it may have ended since.

        Returns: an outcome per result, in order, and the thresholds after that.
        Raises: InvalidRequest: a state is not one a trial can end in.
        """
        _check_states(results)
        outcomes = [FinishOutcome.FENCED] * len(results)
        thresholds: dict[str, Threshold] = {}
        sender = id_or_none(session_id)
        if sender is None:
            return Finished(outcomes=tuple(outcomes), thresholds=thresholds)
        for orchestration_id, places in by_orchestration([each.trial for each in results]):
            mine = [results[place] for place in places]
            answers = await self._finish(sender, orchestration_id, mine)
            for place, answer in zip(places, answers.outcomes, strict=True):
                outcomes[place] = answer
            thresholds.update(answers.thresholds)
        return Finished(outcomes=tuple(outcomes), thresholds=thresholds)

    async def _finish(
        self, session_id: str, orchestration_id: str, results: Sequence[TrialResult]
    ) -> Finished:
        async with self._storage.transaction() as tx:
            numbers = sorted({each.trial.number for each in results})
            ledger = await load_for_ends(tx, orchestration_id, numbers, failing=len(results))
            if ledger is None:
                return Finished(outcomes=(FinishOutcome.FENCED,) * len(results), thresholds={})
            trials = {each.number: each for each in await tx.lock_trials(orchestration_id, numbers)}
            believed = await believed_of(tx, session_id, trials, results)
            stops = await steps.stops_of(tx, ledger, trials, results)
            finish = _Finish(ledger, trials, self._random, stops)
            outcomes = [
                finish.take(each) if each.trial in believed else FinishOutcome.FENCED
                for each in results
            ]
            if finish.ends:
                await tx.end_trials(orchestration_id, finish.ends)
                await steps.complete(tx, ledger, trials, finish.ends)
            if finish.requeues:
                await tx.requeue_trials(orchestration_id, finish.requeues)
            finish.settle()
            changed = bool(finish.ends or finish.requeues)
            charged = await costs.finish(
                tx, ledger, [each for each in results if each.trial in believed]
            )
            stop = any(each.stop_requested for each in finish.ends)
            if changed and reached(ledger.orchestration) is Limit.FAILURES:
                stop |= await end_by_limit(tx, ledger, Limit.FAILURES)
            else:
                stop |= await carry_out(tx, ledger, finish.stops)
            if changed or charged:
                await ledger.save()
        if changed:
            self._signal.committed(orchestration_id)
        if stop:
            self._signal.stops_requested()
        return Finished(outcomes=tuple(outcomes), thresholds=thresholds_of(ledger))


class _Finish:
    """Decides about the results of one orchestration, one after another."""

    def __init__(
        self,
        ledger: Ledger,
        trials: dict[int, TrialRecord],
        random: Random,
        stops: Mapping[TrialKey, PruneDecision],
    ) -> None:
        self._ledger = ledger
        self._random = random
        self._stops = stops
        self._trials = trials
        self._durations: dict[str, list[float]] = {}
        self._ended: dict[int, int] = {}
        self._moves: dict[str, list[tuple[TrialState, TrialState]]] = {}
        self._last_ends: dict[str, int] = {}
        self._failures = 0
        self.stops = Stops(ledger)
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
        run = self._ledger.runs[trial.tuning_run_id]
        end = judged(result, metrics=run.metrics, cv_folds=run.cv_folds)
        if end.state is TrialState.PRUNED:
            end = checked_prune(
                end,
                run=run,
                place=place_of(trial.candidate_index, trial.number),
                stop=self._stops.get(result.trial),
            )
        current = attempt == trial.attempt and trial.state is TrialState.RUNNING
        late_success = 0 <= attempt < trial.attempt and end.state is TrialState.SUCCEEDED
        if not current and not late_success:
            return FinishOutcome.FENCED
        if self._is_over() or self.stops.include(trial):
            # The search ends with this batch, or the tuning run: what comes after the last failure it could
            # bear, or the trial that fulfilled a rule, is cancelled.
            return FinishOutcome.FENCED
        if current and end.failure is not None:
            requeue = (
                # Its worker's trouble, not its own.
                after_trouble(trial, self._ledger.now, self._random)
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
            end
            if failure is end.failure and not still_runs
            else replace(end, failure=failure, stop_requested=still_runs)
        )
        self._ended[trial.number] = result.trial.attempt
        self._failures += end.state is TrialState.FAILED
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
                prune_decision=end.prune_decision,
                train_scores=end.metrics[0].train_scores if end.metrics else (),
            )
        )
        if end.prune_decision is not None:
            run = ledger.runs[trial.tuning_run_id]
            saved = run.fits_saved + fits_saved(end, run)
            ledger.update_run(trial.tuning_run_id, fits_saved=saved)
        self.stops.take(trial, end)
        if end.score is not None:
            ledger.offer_best(trial, end.score)
        if end.state in (TrialState.SUCCEEDED, TrialState.FAILED, TrialState.PRUNED):
            self._durations.setdefault(trial.tuning_run_id, []).append(end.duration_seconds)

    def _requeue(self, trial: TrialRecord, requeue: TrialRequeue, cause: FailureKind) -> None:
        self.requeues.append(requeue)
        # A second result for the same attempt in this batch is of an old attempt by now.
        self._ended[trial.number] = -1
        self._move(trial, TrialState.QUEUED)
        self._ledger.append(
            TrialRequeued(number=trial.number, attempt=requeue.attempt, cause=cause)
        )

    def _is_over(self) -> bool:
        record = self._ledger.orchestration
        limit = record.budget.max_failed_trials
        return limit is not None and record.counts.failed + self._failures > limit

    def _move(self, trial: TrialRecord, state: TrialState) -> None:
        self._moves.setdefault(trial.tuning_run_id, []).append((trial.state, state))


def _on_another(trial: TrialRecord) -> bool:
    return bool(trial.crash_strikes) and trial.crash_worker not in ("", trial.worker)


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

"""Creating trials within a tuning run's budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from services.core.errors import FieldViolation, InvalidRequest, WrongState
from services.core.event import TrialsQueued
from services.core.plan import LifecycleState
from services.core.run import TrialCounts
from services.store.ports.records import (
    EncodedAssignment,
    FinishedTrial,
    NewTrial,
    TrialInsert,
    TuningRunRecord,
)
from services.store.ports.results import CreatedTrials
from services.store.ports.transaction import Storage, Transaction
from services.store.ports.workforce import ChangeSignal
from services.store.service.copies import end_copies, results_to_copy
from services.store.service.identifiers import canonical_id, not_found
from services.store.service.ledger import Ledger
from services.store.service.loading import check_epoch, load_runs


class TrialCreation:
    """Turns suggestions into queued trials, exactly as many as the budget allows; repeats end at once."""

    def __init__(self, storage: Storage, signal: ChangeSignal) -> None:
        self._storage = storage
        self._signal = signal

    async def create(
        self, tuning_run_id: str, *, epoch: int, trials: Sequence[NewTrial]
    ) -> CreatedTrials:
        """Creates trials; suggestions stored before are not stored twice, and count as created.

        Raises:
            NotFound: there is no such tuning run.
            Conflict: the epoch is old.
            WrongState: tuning run or orchestration does not run.
            InvalidRequest: suggestion indices are not consecutive, or leave a gap after those stored; a
                trial named as copied from cannot be.
        """
        tuning_run_id = canonical_id("tuning run", tuning_run_id)
        _check_consecutive(trials)
        orchestration_id = await self._storage.orchestration_of(tuning_run_id)
        if orchestration_id is None:
            raise not_found("tuning run", tuning_run_id)
        async with self._storage.transaction() as tx:
            ledger = await load_runs(tx, orchestration_id, [tuning_run_id])
            run = ledger.runs[tuning_run_id]
            check_epoch(run, epoch)
            if run.state is not LifecycleState.RUNNING:
                raise WrongState(
                    f"tuning run {tuning_run_id} is {run.state.name}: trials are created while it"
                    " is RUNNING",
                    metadata={"tuning_run_id": tuning_run_id, "state": run.state.name},
                )
            created = await self._create(tx, ledger, run, trials)
            await ledger.save()
        self._signal.committed(orchestration_id)
        return created

    async def _create(
        self, tx: Transaction, ledger: Ledger, run: TuningRunRecord, trials: Sequence[NewTrial]
    ) -> CreatedTrials:
        if trials and trials[0].suggestion_index > run.created:
            raise InvalidRequest(
                [
                    FieldViolation(
                        field="trials[0].suggestion_index",
                        description=f"is {trials[0].suggestion_index}, the next one is {run.created}",
                    )
                ]
            )
        fresh = [each for each in trials if each.suggestion_index >= run.created]
        known = len(trials) - len(fresh)
        room = _room(ledger, run)
        allowed = fresh[:room]
        first_number = ledger.orchestration.next_trial_number
        if known:
            found = await tx.find_number(run.tuning_run_id, trials[0].suggestion_index)
            answer_number = first_number if found is None else found
        else:
            answer_number = first_number
        if allowed:
            results = await results_to_copy(tx, ledger, run, allowed)
            await tx.insert_trials(
                ledger.orchestration.orchestration_id,
                tuning_run_id=run.tuning_run_id,
                stage_index=run.stage_index,
                trials=[
                    TrialInsert(
                        number=first_number + place,
                        parameters=_parameters(each, results),
                        candidate_index=each.candidate_index,
                        phase=each.phase,
                        suggestion_index=each.suggestion_index,
                        suggested_at_sequence=each.suggested_at_sequence,
                        copied_from=each.copied_from,
                    )
                    for place, each in enumerate(allowed)
                ],
            )
            ledger.update(next_trial_number=first_number + len(allowed))
            ledger.update_run(run.tuning_run_id, created=run.created + len(allowed))
            ledger.count(run.tuning_run_id, TrialCounts(queued=len(allowed)))
            ledger.append(
                TrialsQueued(
                    tuning_run_id=run.tuning_run_id,
                    first_number=first_number,
                    count=len(allowed),
                )
            )
            if results:
                first = allowed[0].suggestion_index
                copies = {first_number + index - first: each for index, each in results.items()}
                await end_copies(tx, ledger, run, copies)
        return CreatedTrials(
            first_number=answer_number,
            created=known + len(allowed),
            remaining=_room(ledger, ledger.runs[run.tuning_run_id]),
        )


def _parameters(trial: NewTrial, results: Mapping[int, FinishedTrial]) -> EncodedAssignment:
    """A copy has what its result was measured at, whatever the suggestion says."""
    result = results.get(trial.suggestion_index)
    return trial.parameters if result is None else result.parameters


def _room(ledger: Ledger, run: TuningRunRecord) -> int:
    """Counts trials that may be created now: by the tuning run's own number and by the budget."""
    record = ledger.orchestration
    if record.is_overdue:
        return 0
    own = max(0, run.counts.total - run.created)
    by_budget = record.budget.room_for_trials(record.trials_spent)
    return own if by_budget is None else min(own, by_budget)


def _check_consecutive(trials: Sequence[NewTrial]) -> None:
    for place, (before, after) in enumerate(pairwise(trials), start=1):
        if after.suggestion_index != before.suggestion_index + 1:
            raise InvalidRequest(
                [
                    FieldViolation(
                        field=f"trials[{place}].suggestion_index",
                        description=f"is {after.suggestion_index}, must be"
                        f" {before.suggestion_index + 1}: suggestions come in order",
                    )
                ]
            )

"""Trials that repeat an earlier one: they have its result, cost nothing, and are no part of the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.core.errors import FieldViolation, InvalidRequest
from services.core.event import TrialFinished
from services.core.run import TrialCounts
from services.core.trial import TrialState
from services.store.ports.records import FinishedTrial, NewTrial, TrialEnd, TuningRunRecord
from services.store.ports.transaction import Transaction
from services.store.service.ledger import Ledger


async def results_to_copy(
    tx: Transaction, ledger: Ledger, run: TuningRunRecord, trials: Sequence[NewTrial]
) -> dict[int, FinishedTrial]:
    """Reads the results that new trials of a tuning run take, by suggestion index.

    Raises: InvalidRequest: a trial named there is none of the same model run that has succeeded.
    """
    found: dict[int, FinishedTrial] = {}
    problems: list[FieldViolation] = []
    for place, each in enumerate(trials):
        if each.copied_from is None:
            continue
        result = await tx.read_finished(ledger.orchestration.orchestration_id, each.copied_from)
        if result is None or result.model_run_id != run.model_run_id:
            problems.append(
                FieldViolation(
                    field=f"trials[{place}].copied_from",
                    description=f"is {each.copied_from}, which is no trial of model run"
                    f" {run.model_run_id} that has succeeded; leave it out to run the trial",
                )
            )
        else:
            found[each.suggestion_index] = result
    if problems:
        raise InvalidRequest(problems)
    return found


async def end_copies(
    tx: Transaction, ledger: Ledger, run: TuningRunRecord, copies: Mapping[int, FinishedTrial]
) -> None:
    """Ends queued trials with the results of others; their creation is part of this transaction.

    No stopping rule looks at them: what repeats neither improves nor fails to.

    Args:
        copies: by number.
    """
    orchestration_id = ledger.orchestration.orchestration_id
    trials = await tx.lock_trials(orchestration_id, sorted(copies))
    await tx.end_trials(
        orchestration_id,
        [
            TrialEnd(
                number=each.number,
                state=TrialState.SUCCEEDED,
                score=copies[each.number].score,
                metrics=copies[each.number].metrics,
                splits=copies[each.number].splits,
                interval_method=copies[each.number].interval_method,
            )
            for each in trials
        ],
    )
    for each in trials:
        result = copies[each.number]
        scores = result.metrics[0] if result.metrics else None
        sequence = ledger.append(
            TrialFinished(
                number=each.number,
                attempt=each.attempt,
                state=TrialState.SUCCEEDED,
                tuning_run_id=each.tuning_run_id,
                score=result.score,
                split_scores=scores.scores if scores else (),
                train_scores=scores.train_scores if scores else (),
                copied_from=result.number,
            )
        )
        ledger.update_run(run.tuning_run_id, last_end_sequence=sequence)
        ledger.offer_best(each, result.score)
    ledger.count(run.tuning_run_id, TrialCounts(queued=-len(trials), succeeded=len(trials)))
    ledger.update(copied=ledger.orchestration.copied + len(trials))

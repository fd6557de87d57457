"""Ending one tuning run: its refinement is stored and what comes next starts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from services.core.budget import Limit
from services.core.errors import Conflict, FieldViolation, InvalidRequest, WrongState
from services.core.event import RefinementMade
from services.core.plan import LifecycleState
from services.core.refinement import Refinement
from services.core.run import TrialCounts
from services.core.stopping import StopReason
from services.core.trial import in_short
from services.store.ports.records import TuningRunRecord
from services.store.ports.transaction import Transaction
from services.store.service import lifecycle
from services.store.service.ledger import Ledger
from services.store.service.loading import check_epoch

# An extension lets what a limit or a rule of the whole search ended go on, so nobody else may say so.
# That trials are spent is what a coordinator sees too; that it is so is checked.
_OWN_REASONS = frozenset(
    {
        *(each.value for each in Limit if each is not Limit.TRIALS),
        *(each.value for each in StopReason),
        "CANCELLED",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The end of one tuning run.

    Attributes:
        epoch: of the searcher lease; None for an end by hand.
        as_of_sequence: last event the decision had seen.
        state: COMPLETED or FAILED.
        reason: why, in one word; none that only the store gives: limits, stopping rules, a cancel.
        refinement: the space of the same model's tuning run in the next stage; None keeps it.
        next_planned_trials: trials that tuning run will run on the refined space.
        next_total_combinations: points of the refined space; None when infinite.
    """

    tuning_run_id: str
    epoch: int | None
    as_of_sequence: int
    state: LifecycleState
    reason: str
    message: str
    refinement: Refinement | None
    next_planned_trials: int
    next_total_combinations: int | None


def check_closing(closing: Closing) -> None:
    """Raises: InvalidRequest: the state or the reason is not one a tuning run can be closed with."""
    problems = []
    if closing.state not in (LifecycleState.COMPLETED, LifecycleState.FAILED):
        problems.append(
            FieldViolation(
                field="state",
                description=f"is {closing.state.name}, must be COMPLETED or FAILED",
            )
        )
    if closing.reason in _OWN_REASONS:
        problems.append(
            FieldViolation(
                field="reason",
                description=f"is {closing.reason}, which the store alone gives, when it ends a search"
                " by a limit, a stopping rule or a cancel; give what the coordinator saw, as"
                " BUDGET_SPENT, SPACE_EXHAUSTED, ALL_TRIALS_FAILED or MANUAL",
            )
        )
    if problems:
        raise InvalidRequest(problems)


async def close(tx: Transaction, ledger: Ledger, closing: Closing) -> bool:
    """Ends a tuning run of an orchestration of which everything is locked.

    Returns: whether workers must be told to stop.

    Raises:
        Conflict: the epoch is old, or something happened after `as_of_sequence` that the decision
            had to know: a trial of the tuning run ended, or it was extended.
        WrongState: it does not run, is to be COMPLETED without a success, or to be BUDGET_SPENT while
            it may have more trials.
        InvalidRequest: the refinement has no target.
    """
    run = ledger.runs[closing.tuning_run_id]
    _check(ledger, run, closing)
    stop = await lifecycle.cancel_open_trials(tx, ledger, [run.tuning_run_id])
    if closing.refinement is not None:
        await _refine(tx, ledger, run.tuning_run_id, closing.refinement, closing)
    reason, message = closing.reason, closing.message
    if run.stop_reason:
        # It was decided with the trial that fulfilled the rule; this only carries it out.
        reason, message = run.stop_reason, run.message
    if closing.state is LifecycleState.FAILED and not message:
        message = in_short(await tx.most_frequent_failure(run.tuning_run_id))
    lifecycle.end_run(ledger, run.tuning_run_id, closing.state, reason=reason, message=message)
    return stop


async def _refine(
    tx: Transaction, ledger: Ledger, source_id: str, refinement: Refinement, closing: Closing
) -> None:
    target = _target_of(ledger, ledger.runs[source_id], refinement.target_tuning_run_id)
    stored = replace(
        refinement,
        refinement_id=ledger.orchestration.refinement_count + 1,
        orchestration_id=ledger.orchestration.orchestration_id,
        source_tuning_run_id=source_id,
        target_tuning_run_id=target.tuning_run_id,
    )
    ledger.update(refinement_count=stored.refinement_id)
    await tx.insert_refinement(stored)
    await tx.set_space(
        target.tuning_run_id,
        space=stored.space_after,
        total_combinations=closing.next_total_combinations,
    )
    ledger.update_run(target.tuning_run_id, total_combinations=closing.next_total_combinations)
    change = TrialCounts(total=closing.next_planned_trials - target.counts.total)
    ledger.count(target.tuning_run_id, change)
    ledger.append(RefinementMade(refinement=stored))


def _target_of(ledger: Ledger, source: TuningRunRecord, target_id: str) -> TuningRunRecord:
    """Finds the tuning run a refinement is for: the one named, or the same model's in the next stage."""
    for run in ledger.runs_of_stage(source.stage_index + 1):
        named = run.tuning_run_id == target_id
        if (named or not target_id) and run.model_run_id == source.model_run_id:
            return run
    raise InvalidRequest(
        [
            FieldViolation(
                field="refinement.target_tuning_run_id",
                description=f"{target_id!r} is no tuning run of the same model in the next stage",
            )
        ]
    )


def _check(ledger: Ledger, run: TuningRunRecord, closing: Closing) -> None:
    if closing.epoch is not None:
        check_epoch(run, closing.epoch)
    if run.state not in lifecycle.ACTIVE:
        raise lifecycle.refuse_ended("tuning run", run.tuning_run_id, run.state, "be closed")
    if run.last_end_sequence > closing.as_of_sequence:
        raise Conflict(
            f"tuning run {run.tuning_run_id} was extended, or a trial of it ended at event"
            f" {run.last_end_sequence}, after event {closing.as_of_sequence}, the last one the"
            " decision knew",
            reason="DECISION_OUTDATED",
            metadata={
                "tuning_run_id": run.tuning_run_id,
                "last_sequence": str(ledger.orchestration.last_sequence),
            },
        )
    if closing.state is LifecycleState.COMPLETED and run.counts.succeeded == 0:
        raise WrongState(
            f"tuning run {run.tuning_run_id} has no successful trial and cannot be COMPLETED",
            reason="NO_SUCCESS",
            metadata={"tuning_run_id": run.tuning_run_id},
        )
    if (
        closing.reason == Limit.TRIALS.value
        and run.created < lifecycle.planned_of(run)
        and not lifecycle.trials_are_spent(ledger)
    ):
        raise WrongState(
            f"tuning run {run.tuning_run_id} has {run.created} of {lifecycle.planned_of(run)} planned"
            f" trials and the search may have more: it cannot be closed as {closing.reason}; create"
            " the rest, or give another reason",
            reason="BUDGET_LEFT",
            metadata={"tuning_run_id": run.tuning_run_id, "created": str(run.created)},
        )

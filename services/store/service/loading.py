"""Locking what a change needs: an orchestration with all of it, or with some of its tuning runs."""

from __future__ import annotations

from collections.abc import Sequence

from services.core.errors import Conflict
from services.store.ports.records import TuningRunRecord
from services.store.ports.transaction import Transaction
from services.store.service.identifiers import not_found
from services.store.service.ledger import Ledger


async def load_plan(tx: Transaction, orchestration_id: str) -> Ledger:
    """Locks an orchestration with all its stages and tuning runs.

    Raises: NotFound: there is no such orchestration.
    """
    record = await tx.lock_orchestration(orchestration_id)
    if record is None:
        raise not_found("orchestration", orchestration_id)
    runs = await tx.lock_tuning_runs(orchestration_id, None)
    stages = await tx.lock_stages(orchestration_id)
    return Ledger(tx, record, runs=runs, stages=stages)


async def load_runs(
    tx: Transaction, orchestration_id: str, tuning_run_ids: Sequence[str]
) -> Ledger:
    """Locks an orchestration and some of its tuning runs.

    Raises: NotFound: there is no such orchestration.
    """
    record = await tx.lock_orchestration(orchestration_id)
    if record is None:
        raise not_found("orchestration", orchestration_id)
    runs = await tx.lock_tuning_runs(orchestration_id, tuning_run_ids)
    return Ledger(tx, record, runs=runs)


async def load_for_ends(
    tx: Transaction, orchestration_id: str, numbers: Sequence[int], *, failing: int
) -> Ledger | None:
    """Locks an orchestration and what the ends of some trials change; None if unknown.

    Args:
        failing: how many of the trials may fail: when that may be more than the budget allows,
            everything is locked, for the search will end; so it is where the search has stopping rules.
    """
    record = await tx.lock_orchestration(orchestration_id)
    if record is None:
        return None
    limit = record.budget.max_failed_trials
    may_fail = limit is not None and record.counts.failed + failing > limit
    if not record.state.is_terminal and (may_fail or record.stopping.any):
        runs = await tx.lock_tuning_runs(orchestration_id, None)
        stages = await tx.lock_stages(orchestration_id)
        return Ledger(tx, record, runs=runs, stages=stages)
    return Ledger(tx, record, runs=await tx.lock_tuning_runs_of_trials(orchestration_id, numbers))


def check_epoch(run: TuningRunRecord, epoch: int) -> None:
    """Raises: Conflict: another coordinator has taken the searcher since."""
    if run.searcher_epoch != epoch:
        raise Conflict(
            f"the searcher of tuning run {run.tuning_run_id} is at epoch {run.searcher_epoch}, not"
            f" {epoch}: another coordinator has taken it",
            reason="EPOCH_OLD",
            metadata={"tuning_run_id": run.tuning_run_id, "epoch": str(run.searcher_epoch)},
        )

"""What attempts cost: reserved when they start, charged once; nothing for searches without a price.

An attempt that leaves RUNNING without a finish keeps what it reserved until a late finish tells what it
took, or none can come any more. Without a wall limit nothing is reserved: it is charged for the time
until it left, and a late finish corrects that once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from services.core.trial import TrialResult
from services.store.ports.records import AttemptCost, TrialRecord
from services.store.ports.transaction import Transaction
from services.store.service.ledger import Ledger

# A finish comes later than the wall limit after the claim: a worker starts the limit when datasets and
# processes stand, and then still ends the process and reports.
_LATE_SECONDS = 60.0
# Wall limits may be any number; dates may not.
_LONGEST_SECONDS = 10 * 365 * 86_400.0


def room(ledger: Ledger) -> int | None:
    """Counts attempts that can be paid for now; None without a limit."""
    record = ledger.orchestration
    return record.budget.room_for_attempts(
        cost=record.cost, reserved_attempts=record.reserved_attempts
    )


async def start(tx: Transaction, ledger: Ledger, trials: Sequence[TrialRecord]) -> None:
    """Reserves what attempts that are claimed now may cost."""
    record = ledger.orchestration
    if not record.budget.is_priced or not trials:
        return
    noted = await tx.insert_attempt_costs(
        record.orchestration_id,
        [(each.number, each.attempt) for each in trials],
        started_at=ledger.now,
        reserved=record.budget.reservation,
    )
    if record.budget.reserves:
        ledger.update(reserved_attempts=record.reserved_attempts + noted)


async def finish(tx: Transaction, ledger: Ledger, results: Sequence[TrialResult]) -> bool:
    """Charges attempts that workers say have ended, in time or late, whether their results count or not.

    Returns: whether anything was charged.
    """
    told = {
        (each.trial.number, each.trial.attempt): each.duration_seconds for each in reversed(results)
    }
    costs = await _unsettled(tx, ledger, sorted(told))
    settled = [
        _settled(ledger, each, told=told[each.number, each.attempt], until=ledger.now)
        for each in costs
    ]
    return await _save(tx, ledger, settled)


async def leave(
    tx: Transaction, ledger: Ledger, trials: Sequence[TrialRecord], *, handed_back: bool = False
) -> None:
    """Notes that attempts leave RUNNING without a finish.

    Args:
        trials: as they were while they ran.
        handed_back: their worker gave them up: no finish will come.
    """
    costs = await _unsettled(tx, ledger, [(each.number, each.attempt) for each in trials])
    changed: list[AttemptCost] = []
    for each in costs:
        if handed_back:
            changed.append(_settled(ledger, each, told=None, until=each.left_at or ledger.now))
        elif each.reserved > 0:
            changed.append(_waiting(ledger, each))
        else:
            charged = _charge(ledger, each, told=None, until=ledger.now)
            _add(ledger, charged - each.charged)
            changed.append(replace(each, left_at=ledger.now, charged=charged))
    await _save(tx, ledger, changed)


async def expire(tx: Transaction, ledger: Ledger) -> bool:
    """Charges attempts whose finish is not waited for any more for the time until they left.

    Returns: whether there were any.
    """
    costs = await tx.read_expired_costs(ledger.orchestration.orchestration_id)
    settled = [
        _settled(ledger, each, told=None, until=each.left_at or ledger.now) for each in costs
    ]
    return await _save(tx, ledger, settled)


async def _unsettled(
    tx: Transaction, ledger: Ledger, attempts: Sequence[tuple[int, int]]
) -> Sequence[AttemptCost]:
    record = ledger.orchestration
    if not record.budget.is_priced or not attempts:
        return ()
    return await tx.read_attempt_costs(record.orchestration_id, attempts)


def _settled(
    ledger: Ledger, cost: AttemptCost, *, told: float | None, until: datetime
) -> AttemptCost:
    charged = _charge(ledger, cost, told=told, until=until)
    _add(ledger, charged - cost.charged)
    if cost.reserved > 0:
        ledger.update(reserved_attempts=ledger.orchestration.reserved_attempts - 1)
    return replace(cost, charged=charged, settled=True)


def _waiting(ledger: Ledger, cost: AttemptCost) -> AttemptCost:
    limit = ledger.orchestration.budget.trial_timeout_seconds or 0.0
    wait = timedelta(seconds=min(limit + _LATE_SECONDS, _LONGEST_SECONDS))
    return replace(cost, left_at=ledger.now, expires_at=cost.started_at + wait)


def _charge(ledger: Ledger, cost: AttemptCost, *, told: float | None, until: datetime) -> float:
    charged = ledger.orchestration.budget.charge(
        told_seconds=told, elapsed_seconds=(until - cost.started_at).total_seconds()
    )
    return min(charged, cost.reserved) if cost.reserved > 0 else charged


def _add(ledger: Ledger, change: float) -> None:
    record = ledger.orchestration
    ledger.update(cost=record.budget.added(record.cost, change))


async def _save(tx: Transaction, ledger: Ledger, costs: Sequence[AttemptCost]) -> bool:
    if costs:
        await tx.save_attempt_costs(ledger.orchestration.orchestration_id, costs)
    return bool(costs)

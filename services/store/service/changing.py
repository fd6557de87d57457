"""What people do to orchestrations that run: pause, resume, cancel."""

from __future__ import annotations

from enum import Enum

from services.core.plan import LifecycleState
from services.store.ports.transaction import Transaction
from services.store.service import lifecycle
from services.store.service.ledger import Ledger


class Change(Enum):
    """What people can do with an orchestration."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


_PAST = {Change.PAUSE: "paused", Change.RESUME: "resumed", Change.CANCEL: "cancelled"}


async def apply(tx: Transaction, ledger: Ledger, change: Change) -> bool:
    """Changes an orchestration of which everything is locked; the same change twice is the same as once.

    Returns: whether workers must be told to stop.
    Raises: WrongState: it has ended in another state.
    """
    orchestration_id = ledger.orchestration.orchestration_id
    state = ledger.orchestration.state
    if state.is_terminal:
        if change is Change.CANCEL and state is LifecycleState.CANCELLED:
            return False
        raise lifecycle.refuse_ended(
            "orchestration", orchestration_id, state, f"be {_PAST[change]}"
        )
    if change is Change.PAUSE and state is LifecycleState.RUNNING:
        lifecycle.pause(ledger)
    elif change is Change.RESUME and state is LifecycleState.PAUSED:
        lifecycle.resume(ledger)
        # Messages sent before the pause may be gone from the queue: workers hand back what they
        # cannot claim.
        await tx.clear_dispatch(orchestration_id, None)
    elif change is Change.CANCEL:
        stop = await lifecycle.cancel_open_trials(tx, ledger, sorted(ledger.runs))
        lifecycle.cancel(ledger)
        return stop
    return False

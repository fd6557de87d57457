"""Whose results are believed: those of the session that holds an attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.core.trial import TrialKey, TrialResult
from services.store.ports.records import TrialRecord
from services.store.ports.transaction import Transaction


async def believed_of(
    tx: Transaction,
    session_id: str,
    trials: Mapping[int, TrialRecord],
    results: Sequence[TrialResult],
) -> set[TrialKey]:
    """Gives the attempts whose results may come from a session, which may have ended since.

    Of the latest attempt it is known who was given it. Who had an older one is not kept: any session
    that there is or was may tell of it, for nothing but a success counts then, and only once.

    Args:
        session_id: canonical.
        trials: those of the results that are known, locked, by number.
    """
    believed: set[TrialKey] = set()
    is_known: bool | None = None
    for each in results:
        trial = trials.get(each.trial.number)
        if trial is None:
            continue
        if each.trial.attempt == trial.attempt and trial.session_id is not None:
            if trial.session_id == session_id:
                believed.add(each.trial)
            continue
        if is_known is None:
            is_known = await tx.knows_session(session_id)
        if is_known:
            believed.add(each.trial)
    return believed

"""Batches from workers, one orchestration at a time."""

from __future__ import annotations

from collections.abc import Sequence

from services.core.trial import TrialKey
from services.store.service.identifiers import id_or_none


def by_orchestration(trials: Sequence[TrialKey]) -> list[tuple[str, list[int]]]:
    """Groups the places of trials in a batch by orchestration; ids that are none are left out.

    Orchestrations come in the order of their ids: whoever works through several does it alike.
    """
    groups: dict[str, list[int]] = {}
    for place, each in enumerate(trials):
        orchestration_id = id_or_none(each.orchestration_id)
        if orchestration_id is not None:
            groups.setdefault(orchestration_id, []).append(place)
    return sorted(groups.items())

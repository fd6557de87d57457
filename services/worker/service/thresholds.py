"""What trials must beat to be finished, as last heard from the store."""

from __future__ import annotations

from collections import OrderedDict

from services.core.pruning import Threshold

_KEPT_RUNS = 1_000


class Thresholds:
    """Keeps the last threshold heard of each tuning run.

    The last one heard, not the highest: answers that overtake one another bring back an older one at
    worst, which stops less; and a store that was restored, and knows of fewer trials, is believed.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, Threshold] = OrderedDict()

    def hear(self, tuning_run_id: str, threshold: Threshold | None) -> None:
        """Takes what an answer of the store told; None that nothing is stopped now."""
        if threshold is None:
            self._known.pop(tuning_run_id, None)
            return
        self._known[tuning_run_id] = threshold
        self._known.move_to_end(tuning_run_id)
        while len(self._known) > _KEPT_RUNS:
            self._known.popitem(last=False)

    def of(self, tuning_run_id: str) -> Threshold | None:
        """Gives the present threshold; None while nothing is stopped early."""
        return self._known.get(tuning_run_id)

"""How many trials to keep open ahead of the workers."""

from __future__ import annotations

import math

from services.core.plan import ADAPTIVE_METHODS

# Few while their duration is unknown: what waits when a limit ends the search counts as run.
_FEWEST_AHEAD = 8
_MOST_AHEAD = 3_000
_MOST_PER_CALL = 500

# From a trial's result to the start of the one suggested after it: the report, its event, the suggestion,
# the creation, the way through the queue.
_WAY_SECONDS = 0.25
# Trials so long that a slot that waits for that way is idle for less than this share are not suggested ahead.
_IDLE_SHARE = 0.03


def open_target(
    method: str,
    *,
    slots: int,
    active_runs: int,
    max_concurrent: int,
    mean_seconds: float | None,
) -> int:
    """Says how many trials of a tuning run should wait or run.

    A model-based method suggests worse points the more results it does not know yet, so it has only as
    many open as can run; shared with its neighbours. While its trials are short, as many more wait for the
    slots that become free while a suggestion is made. The others are to keep every slot busy: the store
    hands out two batches of about a second of work per slot, and a third waits here.

    Args:
        slots: slots of live workers.
        active_runs: model-based tuning runs of the orchestration that run now, this one included.
        max_concurrent: the orchestration's limit; 0 for none.
        mean_seconds: mean duration of the tuning run's trials; None while unknown.
    """
    if method in ADAPTIVE_METHODS:
        share = max(1, slots // max(1, active_runs))
        # Who asks for few at a time wants each to know the ones before.
        return min(share, max_concurrent) if max_concurrent else share + _ahead(share, mean_seconds)
    per_batch = 1 if mean_seconds is None else max(1.0, 1.0 / max(mean_seconds, 1e-3))
    return int(min(_MOST_AHEAD, max(_FEWEST_AHEAD, 3 * slots * per_batch)))


def _ahead(share: int, mean_seconds: float | None) -> int:
    if mean_seconds is None or mean_seconds > _WAY_SECONDS / _IDLE_SHARE:
        return 0
    return math.ceil(share * min(1.0, _WAY_SECONDS / max(mean_seconds, 1e-3)))


def to_create(method: str, *, target: int, open_now: int, left: int) -> int:
    """Says how many trials to create now.

    Tops up in portions of a quarter of the target, so that quick trials do not cost a call each.

    Args:
        target: what `open_target` said.
        left: trials the budget or the grid still allows.
    """
    missing = min(target - open_now, left)
    if missing <= 0:
        return 0
    worthwhile = 1 if method in ADAPTIVE_METHODS else max(1, target // 4)
    if missing < worthwhile and missing != left:
        return 0
    return min(missing, _MOST_PER_CALL)

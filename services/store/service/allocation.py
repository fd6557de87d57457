"""Who gets the free slots: a pure decision over what waits and what is under way."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.store.ports.records import RunLoad, WorkerClass

# Per slot: one batch that runs and one that waits, so that no slot waits for the next message.
BATCHES_PER_SLOT = 2
# A trial this long is worth a message of its own when its slot is free: what waited behind it would
# find no slot in time and come back.
_LONG_SECONDS = 2.0
# Of measured work per batch, in seconds: long enough to pay for a message, short enough to share.
_BATCH_SECONDS = 1.0
MAX_BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """One batch to fill: at most `count` trials of a tuning run."""

    tuning_run_id: str
    worker_class: str
    count: int


def batch_size(mean_duration: float | None) -> int:
    """Gives how many trials make about a second of work; one until that is known."""
    if mean_duration is None:
        return 1
    return max(1, min(MAX_BATCH, int(_BATCH_SECONDS / max(mean_duration, 1e-6))))


def batch_weight(mean_duration: float | None) -> int:
    """Gives how many of a slot's places one batch takes: all of them when long, or not measured yet."""
    if mean_duration is None or mean_duration >= _LONG_SECONDS:
        return BATCHES_PER_SLOT
    return 1


def allocate(loads: Sequence[RunLoad], classes: Sequence[WorkerClass]) -> list[Allocation]:
    """Fills every class's slots with batches.

    Priority decides first; among equals the orchestration with the least work under way is next, then
    the oldest, so that orchestrations share the workers. A batch never holds more than
    `max_concurrent_trials` leaves, and little waiting work is spread over all slots.

    Returns: batches in the order they should be sent.
    """
    allocations: list[Allocation] = []
    for workers in classes:
        mine = [each for each in loads if each.worker_class == workers.worker_class]
        allocations += _allocate_class(mine, workers)
    return allocations


def _allocate_class(loads: Sequence[RunLoad], workers: WorkerClass) -> list[Allocation]:
    capacity = BATCHES_PER_SLOT * workers.slots
    sizes = {each.tuning_run_id: batch_size(each.mean_duration) for each in loads}
    batch_weights = {each.tuning_run_id: batch_weight(each.mean_duration) for each in loads}
    # Work under way, in batches: a slot is as full with one long trial as with batches of short ones.
    weights: dict[str, float] = {}
    under_way = 0.0
    for each in loads:
        weight = batch_weights[each.tuning_run_id] * each.outstanding / sizes[each.tuning_run_id]
        under_way += weight
        weights[each.orchestration_id] = weights.get(each.orchestration_id, 0.0) + weight
    waiting = {each.tuning_run_id: each.waiting for each in loads}
    allowed = {
        each.orchestration_id: (
            each.max_concurrent_trials - each.orchestration_outstanding
            if each.max_concurrent_trials
            else math.inf
        )
        for each in loads
    }
    heap = [
        (-each.priority, weights[each.orchestration_id], each.created_at, each.position, place)
        for place, each in enumerate(loads)
        if each.open_for_work and each.waiting > 0
    ]
    heapq.heapify(heap)
    allocations: list[Allocation] = []
    while heap and under_way < capacity:
        priority, weight, created_at, position, place = heapq.heappop(heap)
        load = loads[place]
        current = weights[load.orchestration_id]
        if weight < current:
            # Another tuning run of the same orchestration was served since this entry was made.
            heapq.heappush(heap, (priority, current, created_at, position, place))
            continue
        run = load.tuning_run_id
        spread = math.ceil(load.waiting / capacity)
        count = int(min(sizes[run], max(1, spread), waiting[run], allowed[load.orchestration_id]))
        if count <= 0:
            continue
        allocations.append(
            Allocation(tuning_run_id=run, worker_class=workers.worker_class, count=count)
        )
        waiting[run] -= count
        allowed[load.orchestration_id] -= count
        share = batch_weights[run] * count / sizes[run]
        # A small batch takes a slot's place in the queue all the same.
        under_way += max(share, 0.5) if count < sizes[run] else share
        weights[load.orchestration_id] = current + share
        if waiting[run] > 0:
            heapq.heappush(
                heap, (priority, weights[load.orchestration_id], created_at, position, place)
            )
    return allocations

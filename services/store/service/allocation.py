"""Who gets the free slots: a pure decision over what waits and what is under way."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TypeAlias

from services.store.ports.workforce_records import RunLoad, WorkerClass

# Per slot: one batch that runs and one that waits, so that no slot waits for the next message.
BATCHES_PER_SLOT = 2
# A trial this long is worth a message of its own when its slot is free: what waited behind it would
# find no slot in time and come back.
_LONG_SECONDS = 2.0
# Of measured work per batch, in seconds: long enough to pay for a message, short enough to share.
_BATCH_SECONDS = 1.0
MAX_BATCH = 500


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


def allocate(
    loads: Sequence[RunLoad],
    classes: Sequence[WorkerClass],
    tenant_weights: Mapping[str, float] = MappingProxyType({}),
) -> list[Allocation]:
    """Fills every class's slots with batches.

    Priority decides first; among equals the tenant with the least work under way for its weight is
    next, then its orchestration with the least, then the oldest, so that tenants and orchestrations
    share the workers. All batches out together never hold more than `max_concurrent_trials`, and
    little work that may start is spread over all slots.

    Args:
        tenant_weights: by tenant, > 0; those not named weigh 1.

    Returns: batches in the order they should be sent.
    """
    allocations: list[Allocation] = []
    for workers in classes:
        mine = [each for each in loads if each.worker_class == workers.worker_class]
        allocations += _ClassAllocation(mine, workers, tenant_weights).fill()
    return allocations


# Lowest first: priority, the tenant's work, the orchestration's, its age, and the place of the load.
_Turn: TypeAlias = tuple[int, float, float, datetime, int, int]


class _ClassAllocation:
    """The slots of one class, being filled.

    Work under way is counted in batches: a slot is as full with one long trial as with batches of
    short ones.
    """

    def __init__(
        self,
        loads: Sequence[RunLoad],
        workers: WorkerClass,
        tenant_weights: Mapping[str, float],
    ) -> None:
        self._loads = loads
        self._worker_class = workers.worker_class
        self._tenant_weights = tenant_weights
        self._capacity = BATCHES_PER_SLOT * workers.slots
        self._waiting = [each.waiting for each in loads]
        self._of_tenant: dict[str, float] = {}
        self._of_orchestration: dict[str, float] = {}
        self._allowed: dict[str, float] = {}
        self._under_way = 0.0
        for each in loads:
            self._allowed[each.orchestration_id] = (
                each.max_concurrent_trials - each.orchestration_outstanding
                if each.max_concurrent_trials
                else math.inf
            )
            self._under_way += self._add(each, each.outstanding)

    def fill(self) -> list[Allocation]:
        """Allocates until the slots are full or nothing is left that may start."""
        heap = [
            self._turn(place)
            for place, each in enumerate(self._loads)
            if each.open_for_work and each.waiting > 0
        ]
        heapq.heapify(heap)
        allocations: list[Allocation] = []
        while heap and self._under_way < self._capacity:
            turn = heapq.heappop(heap)
            place = turn[-1]
            current = self._turn(place)
            if turn < current:
                # Its tenant or orchestration was served since this turn was noted.
                heapq.heappush(heap, current)
                continue
            count = self._count(place)
            if count <= 0:
                continue
            load = self._loads[place]
            allocations.append(
                Allocation(
                    tuning_run_id=load.tuning_run_id, worker_class=self._worker_class, count=count
                )
            )
            self._waiting[place] -= count
            self._allowed[load.orchestration_id] -= count
            work = self._add(load, count)
            # A small batch takes a slot's place in the queue all the same.
            small = count < batch_size(load.mean_duration)
            self._under_way += max(work, 0.5) if small else work
            if self._waiting[place] > 0:
                heapq.heappush(heap, self._turn(place))
        return allocations

    def _count(self, place: int) -> int:
        load = self._loads[place]
        allowed = self._allowed[load.orchestration_id]
        # What may start is spread by what could at first, so that all batches are alike.
        may_start = min(load.waiting, allowed) if math.isfinite(allowed) else load.waiting
        spread = max(1, math.ceil(may_start / self._capacity))
        return int(min(batch_size(load.mean_duration), spread, self._waiting[place], allowed))

    def _add(self, load: RunLoad, count: int) -> float:
        work = batch_weight(load.mean_duration) * count / batch_size(load.mean_duration)
        share = work / self._tenant_weights.get(load.tenant, 1.0)
        self._of_tenant[load.tenant] = self._of_tenant.get(load.tenant, 0.0) + share
        self._of_orchestration[load.orchestration_id] = (
            self._of_orchestration.get(load.orchestration_id, 0.0) + work
        )
        return work

    def _turn(self, place: int) -> _Turn:
        load = self._loads[place]
        return (
            -load.priority,
            self._of_tenant[load.tenant],
            self._of_orchestration[load.orchestration_id],
            load.created_at,
            load.position,
            place,
        )

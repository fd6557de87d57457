"""Handing out trials: what coordinators publish next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from services.store.ports.results import Batch, HandedOut, HandOut, WorkerClassStatus
from services.store.ports.workforce import HandOutStore
from services.store.ports.workforce_records import PickedTrial, RunLoad, WorkerClass
from services.store.service.allocation import Allocation, allocate
from services.store.service.identifiers import id_or_none


class HandOuts:
    """Fills worker classes with waiting trials.

    A QUEUED row is the outbox: what was marked as dispatched and never claimed is marked again after
    `dispatch_seconds`, so a lost message delays a trial and loses nothing.

    Args:
        tenant_weights: shares of the workers by tenant; those not named weigh 1.
    """

    def __init__(
        self,
        store: HandOutStore,
        *,
        dispatch_seconds: float,
        tenant_weights: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._store = store
        self._dispatch_seconds = dispatch_seconds
        self._tenant_weights = tenant_weights

    async def hand_out(self) -> HandedOut:
        """Picks waiting trials for the slots that are live, about two batches each."""
        async with self._store.handing_out() as store:
            await store.requeue_unclaimed(self._dispatch_seconds)
            classes = await store.worker_classes()
            loads = await store.loads()
            allocations = allocate(loads, classes, self._tenant_weights)
            picked: Sequence[PickedTrial] = ()
            if allocations:
                wanted: dict[str, int] = {}
                for each in allocations:
                    wanted[each.tuning_run_id] = wanted.get(each.tuning_run_id, 0) + each.count
                picked = await store.pick(sorted(wanted.items()))
        return HandedOut(
            hand_outs=tuple(_batched(allocations, picked)),
            worker_classes=tuple(_status(each, loads, allocations, picked) for each in classes),
        )

    async def recall(self, batches: Sequence[Batch]) -> int:
        """Makes trials available again whose messages did not get out, or found no slot."""
        known = [
            each
            for each in batches
            if id_or_none(each.orchestration_id) is not None and each.trials
        ]
        return await self._store.recall(known) if known else 0

    async def recall_all(
        self, *, dispatched_for_seconds: float = 0.0, worker_class: str = ""
    ) -> int:
        """Makes every trial available again that was dispatched so long ago and not claimed.

        Args:
            worker_class: whose queue lost them; empty for all.
        """
        return await self._store.recall_all(dispatched_for_seconds, worker_class)


def _batched(allocations: Sequence[Allocation], picked: Sequence[PickedTrial]) -> list[HandOut]:
    by_run: dict[str, list[PickedTrial]] = {}
    for trial in picked:
        by_run.setdefault(trial.tuning_run_id, []).append(trial)
    hand_outs: list[HandOut] = []
    for allocation in allocations:
        available = by_run.get(allocation.tuning_run_id, [])
        taken, by_run[allocation.tuning_run_id] = (
            available[: allocation.count],
            available[allocation.count :],
        )
        # A trial that brought a worker's child down travels alone: it must not take others with it.
        together = [each for each in taken if not each.has_strikes]
        groups = [[each] for each in taken if each.has_strikes]
        if together:
            groups.insert(0, together)
        hand_outs += [
            HandOut(
                worker_class=allocation.worker_class,
                batch=Batch(
                    orchestration_id=group[0].orchestration_id,
                    tuning_run_id=allocation.tuning_run_id,
                    trials=tuple((each.number, each.attempt) for each in group),
                    request_id=group[0].request_id,
                ),
            )
            for group in groups
        ]
    return hand_outs


def _status(
    workers: WorkerClass,
    loads: Sequence[RunLoad],
    allocations: Sequence[Allocation],
    picked: Sequence[PickedTrial],
) -> WorkerClassStatus:
    mine = {each.tuning_run_id for each in loads if each.worker_class == workers.worker_class} | {
        each.tuning_run_id for each in allocations if each.worker_class == workers.worker_class
    }
    outstanding = sum(each.outstanding for each in loads if each.tuning_run_id in mine)
    return WorkerClassStatus(
        worker_class=workers.worker_class,
        live_workers=workers.live_workers,
        slots=workers.slots,
        outstanding=outstanding + sum(each.tuning_run_id in mine for each in picked),
    )

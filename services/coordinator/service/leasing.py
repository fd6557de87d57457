"""Holding searcher leases: one task per tuning run this coordinator decides for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from services.coordinator.ports import SearcherLease, SearchStore
from services.coordinator.service.bell import Bell
from services.core.errors import CrescendoError

logger = structlog.get_logger()

_RENEW_SECONDS = 3.0
_SWARM_SECONDS = 0.01
_MOST_NEW = 64
_RELEASE_SECONDS = 3.0


class SearcherLeases:
    """Takes leases, keeps them alive, and runs `conduct` for each; gives them back at the end.

    Args:
        conduct: conducts one tuning run; ends by itself, or is cancelled when the lease is lost.
        bell: rung when a tuning run may have begun, so that it is not found only by the next renewal.
    """

    def __init__(
        self,
        *,
        store: SearchStore,
        coordinator_id: str,
        conduct: Callable[[SearcherLease], Awaitable[None]],
        bell: Bell,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._store = store
        self._coordinator_id = coordinator_id
        self._conduct = conduct
        self._bell = bell
        self._tasks = tasks
        self._conducted: dict[str, tuple[SearcherLease, asyncio.Task[None]]] = {}
        self._held: list[str] = []

    async def run(self) -> None:
        """Holds leases until cancelled; then stops all conducting and releases them."""
        try:
            while True:
                await self._renew()
                await self._bell.wait(_RENEW_SECONDS)
                # Rings come in swarms when many tuning runs end at once: one call answers them all.
                await asyncio.sleep(_SWARM_SECONDS)
        finally:
            await self._release()

    async def _renew(self) -> None:
        try:
            leases = await self._store.acquire_searchers(
                self._coordinator_id, held=self._held, max_new=_MOST_NEW
            )
        except CrescendoError as error:
            # Nothing is stopped: writes under a lease that has ended are refused by its epoch.
            logger.warning("leases not renewed", error=str(error), limit_seconds=10)
            return
        taken = len(leases) - len(self._held)
        self._held = [lease.tuning_run_id for lease in leases]
        current = {lease.tuning_run_id: lease for lease in leases}
        for run_id, (lease, task) in list(self._conducted.items()):
            if task.done():
                del self._conducted[run_id]
            elif current.get(run_id) != lease:
                logger.info("lease ended", tuning_run_id=run_id, epoch=lease.epoch)
                task.cancel()
                del self._conducted[run_id]
        for run_id, lease in current.items():
            if run_id not in self._conducted:
                task = self._tasks.create_task(self._guarded(lease), name=f"conduct {run_id}")
                self._conducted[run_id] = (lease, task)
        if taken >= _MOST_NEW:
            self._bell.ring()

    async def _guarded(self, lease: SearcherLease) -> None:
        try:
            await self._conduct(lease)
        except Exception as error:
            # One broken run must not stop the others.
            # The lease stays held, so the next renewal starts the run again from the store's state.
            logger.error(
                "conducting failed",
                orchestration_id=lease.orchestration_id,
                tuning_run_id=lease.tuning_run_id,
                exc_info=error,
            )

    async def _release(self) -> None:
        tasks = [task for _, task in self._conducted.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not self._held:
            return
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._store.release_searchers(self._coordinator_id, self._held)
        except (CrescendoError, TimeoutError) as error:
            logger.warning("leases not released, they will run out", error=str(error))

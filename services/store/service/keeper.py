"""The keeper: does what becomes due by itself, at the end of times, costs and patience."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from services.core.errors import Unavailable
from services.core.event import Notice
from services.core.plan import LifecycleState
from services.store.ports.keeping import DueReader
from services.store.ports.transaction import Storage
from services.store.ports.workforce import ChangeSignal
from services.store.service import costs
from services.store.service.endings import end_by_limit, reached
from services.store.service.ledger import Ledger
from services.store.service.loading import load_plan

logger = structlog.get_logger()

# Trials wait so long without a worker before their search's log says so.
_PATIENCE_SECONDS = 15.0
_MOST_AT_ONCE = 1000


class Keeper:
    """Ends searches whose time or cost is used up, settles costs, tells of missing workers.

    Runs in every replica. What is due is found without locks and decided again under the lock of its
    orchestration, so many keepers do what one does. Locks are waited for: the lock of a busy search is
    nearly always taken, and skipping it would let the search run on past its deadline.

    Args:
        lease_seconds: of workers' sessions. After an outage of the database every lease looks ended:
            workers are missed only after contact has lasted for one lease.
        monotonic: seconds on a clock that never jumps.
    """

    def __init__(
        self,
        due: DueReader,
        storage: Storage,
        signal: ChangeSignal,
        *,
        lease_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._due = due
        self._storage = storage
        self._signal = signal
        self._lease_seconds = lease_seconds
        self._longest_silence = lease_seconds / 3
        # Well within that: a silence of our own making must not count.
        self._tick_seconds = min(1.0, lease_seconds / 12)
        self._monotonic = monotonic
        self._contact_since: float | None = None
        self._last_contact = 0.0

    async def run(self) -> None:
        """Ticks for as long as it is not cancelled."""
        while True:
            await self.tick()
            await asyncio.sleep(self._tick_seconds)

    async def tick(self) -> None:
        """Does what is due now; what fails is tried again at the next tick."""
        began = self._monotonic()
        if began - self._last_contact > self._longest_silence:
            self._contact_since = None
        try:
            await self._each(await self._due.expired_costs(_MOST_AT_ONCE), self._expire)
            ending = [
                *await self._due.overdue(_MOST_AT_ONCE),
                *await self._due.unaffordable(_MOST_AT_ONCE),
            ]
            await self._each(ending, self._end)
            await self._each(
                await self._due.with_workers_again(_MOST_AT_ONCE), self._tell_workers_back
            )
            if (
                self._contact_since is not None
                and began - self._contact_since >= self._lease_seconds
            ):
                missing = await self._due.without_workers(_MOST_AT_ONCE, seconds=_PATIENCE_SECONDS)
                await self._each(missing, self._tell_no_workers)
        except Unavailable as error:
            self._contact_since = None
            logger.warning("cannot keep budgets", reason=error.reason, limit_seconds=10)
            return
        self._last_contact = self._monotonic()
        if self._contact_since is None:
            self._contact_since = began

    async def _each(
        self, orchestration_ids: Sequence[str], act: Callable[[str], Awaitable[None]]
    ) -> None:
        """Acts on each orchestration; one that fails does not keep the others waiting."""
        for orchestration_id in orchestration_ids:
            try:
                await act(orchestration_id)
            except Unavailable as error:
                logger.warning(
                    "orchestration not kept",
                    orchestration_id=orchestration_id,
                    reason=error.reason,
                )
            except Exception as error:
                logger.error(
                    "orchestration not kept", orchestration_id=orchestration_id, exc_info=error
                )

    async def _end(self, orchestration_id: str) -> None:
        async with self._storage.transaction() as tx:
            ledger = await load_plan(tx, orchestration_id)
            limit = reached(ledger.orchestration)
            if limit is None:
                return
            stop = await end_by_limit(tx, ledger, limit)
            await ledger.save()
        logger.info("search ended", orchestration_id=orchestration_id, reason=limit.value)
        self._signal.committed(orchestration_id)
        if stop:
            self._signal.stops_requested()

    async def _expire(self, orchestration_id: str) -> None:
        async with self._storage.transaction() as tx:
            record = await tx.lock_orchestration(orchestration_id)
            if record is None:
                return
            ledger = Ledger(tx, record, runs=())
            if await costs.expire(tx, ledger):
                await ledger.save()

    async def _tell_no_workers(self, orchestration_id: str) -> None:
        await self._tell(
            orchestration_id,
            missing=True,
            reason="NO_WORKERS",
            message="no worker of class {worker_class} has been there for"
            f" {_PATIENCE_SECONDS:g} s: trials wait; start one",
        )

    async def _tell_workers_back(self, orchestration_id: str) -> None:
        await self._tell(
            orchestration_id,
            missing=False,
            reason="WORKERS_BACK",
            message="workers of class {worker_class} are there again",
        )

    async def _tell(
        self, orchestration_id: str, *, missing: bool, reason: str, message: str
    ) -> None:
        async with self._storage.transaction() as tx:
            record = await tx.lock_orchestration(orchestration_id)
            if (
                record is None
                or record.state is not LifecycleState.RUNNING
                or record.workers_missing is missing
            ):
                return
            ledger = Ledger(tx, record, runs=())
            ledger.update(workers_missing=missing)
            words = message.format(worker_class=record.worker_class)
            ledger.append(Notice(reason=reason, message=words))
            await ledger.save()
        self._signal.committed(orchestration_id)

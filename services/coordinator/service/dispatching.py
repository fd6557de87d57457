"""Dispatching: bring queued trials to the workers' queues, and again whatever the broker lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from services.coordinator.ports import (
    DispatchStore,
    HandedOut,
    HandOut,
    TrialDispatcher,
    WorkerClassStatus,
)
from services.coordinator.service.bell import Bell
from services.coordinator.service.capacity import Capacity
from services.core.errors import CrescendoError, Unavailable

logger = structlog.get_logger()

_POLL_SECONDS = 1.0
_LOOK_AT_DEPTH_SECONDS = 5.0
# A worker may hold a message for five seconds before it claims or hands back its trials.
_EMPTY_SECONDS = 10.0


class Dispatching:
    """Hands out trials and publishes them; the store's queued rows are the truth, queues only a bell.

    Args:
        bell: rung when trials were created or slots became free.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        store: DispatchStore,
        dispatcher: TrialDispatcher,
        coordinator_id: str,
        capacity: Capacity,
        bell: Bell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._coordinator_id = coordinator_id
        self._capacity = capacity
        self._bell = bell
        self._clock = clock
        self._recall_all = False
        self._empty_since: dict[str, float] = {}
        self._looked_at = clock()
        dispatcher.add_connected_listener(self._on_connected)

    def _on_connected(self) -> None:
        self._recall_all = True
        self._bell.ring()

    async def run(self) -> None:
        """Dispatches until cancelled; outages of store and broker are waited out."""
        while True:
            try:
                await self.step()
            except CrescendoError as error:
                logger.warning("dispatch waits", error=str(error))
                await asyncio.sleep(_POLL_SECONDS)
            await self._bell.wait(_POLL_SECONDS)

    async def step(self) -> None:
        """Hands out and publishes all there is for now.

        Raises: Unavailable: store or broker cannot be reached; nothing is lost by it.
        """
        if self._recall_all:
            recalled = await self._store.recall_all_trials()
            self._recall_all = False
            logger.info("recalled after connecting", trials=recalled)
        while True:
            handed_out = await self._hand_out()
            self._capacity.hear(handed_out.worker_classes)
            if not handed_out.hand_outs:
                break
            if not await self._publish(handed_out.hand_outs):
                # What was refused is available again: asking at once would only spin.
                return
        await self._look_at_depths()

    async def _hand_out(self) -> HandedOut:
        try:
            return await self._store.hand_out_trials(self._coordinator_id)
        except Unavailable:
            # The answer may be lost while its trials are marked as dispatched.
            self._recall_all = True
            raise

    async def _publish(self, hand_outs: Sequence[HandOut]) -> bool:
        try:
            confirmed = await self._dispatcher.publish(hand_outs)
        except BaseException:
            # Also when cancelled: trials marked as dispatched but never sent would wait a minute.
            await asyncio.shield(self._recall(hand_outs))
            raise
        refused = [
            hand_out for hand_out, sure in zip(hand_outs, confirmed, strict=True) if not sure
        ]
        if refused:
            logger.warning("publishes not confirmed", batches=len(refused))
            await self._recall(refused)
        return not refused

    async def _recall(self, hand_outs: Sequence[HandOut]) -> None:
        try:
            await self._store.recall_trials([each.batch for each in hand_outs])
        except Unavailable as error:
            # The store makes them available by itself when nobody claims them.
            logger.warning("recall failed", error=str(error))

    async def _look_at_depths(self) -> None:
        now = self._clock()
        if now - self._looked_at < _LOOK_AT_DEPTH_SECONDS:
            return
        self._looked_at = now
        for status in self._capacity.classes:
            if await self._is_empty_for_long(status, now):
                # A message handed to a worker is not in the queue any more, though unclaimed: only
                # those are recalled that had the time to be claimed or declined.
                self._empty_since[status.worker_class] = now
                recalled = await self._store.recall_all_trials(
                    dispatched_for_seconds=_EMPTY_SECONDS
                )
                if recalled:
                    logger.warning("recalled from an empty queue", trials=recalled)
                    self._bell.ring()
                return

    async def _is_empty_for_long(self, status: WorkerClassStatus, now: float) -> bool:
        waits = status.outstanding > 0 and await self._dispatcher.depth(status.worker_class) == 0
        if not waits:
            self._empty_since.pop(status.worker_class, None)
            return False
        return now - self._empty_since.setdefault(status.worker_class, now) >= _EMPTY_SECONDS

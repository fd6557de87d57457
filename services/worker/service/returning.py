"""Giving attempts up: at once where a drain waits for it, in batches where they were told to stop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog

from services.core.errors import CrescendoError
from services.core.trial import TrialKey
from services.worker.ports import TrialStore
from services.worker.service.session import SessionKeeper

logger = structlog.get_logger()

# A search that ends stops all its trials at once.
_GATHER_SECONDS = 0.05
_BATCH = 500
_RETURN_PATIENCE_SECONDS = 10.0
# What is not told by then is waited for by the store no longer than without any of this.
_STOPPED_PATIENCE_SECONDS = 60.0


class Returner:
    """Tells the store which attempts this worker has given up; nothing depends on its success."""

    def __init__(self, store: TrialStore, session: SessionKeeper) -> None:
        self._store = store
        self._session = session
        self._stopped: deque[TrialKey] = deque()
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    async def give_back(self, trials: Sequence[TrialKey]) -> None:
        """Gives claimed trials up, to be handed out again."""
        await self._return(trials, patience_seconds=_RETURN_PATIENCE_SECONDS)

    async def decline(self, trials: Sequence[TrialKey]) -> None:
        """Hands dispatched trials back that were not claimed."""
        try:
            await self._session.call(
                lambda session_id: self._store.decline_trials(session_id, trials),
                patience_seconds=_RETURN_PATIENCE_SECONDS,
            )
        except CrescendoError as error:
            # Dispatched and never claimed: the store hands them out again by itself.
            logger.warning("trials not declined", count=len(trials), error=str(error))

    def stopped(self, trials: Sequence[TrialKey]) -> None:
        """Takes attempts that the store had stopped: no result of them will come."""
        if trials:
            self._stopped.extend(trials)
            self._empty.clear()
            self._arrived.set()

    async def wait_empty(self, *, patience_seconds: float) -> None:
        """Waits until the store knows of every attempt that was stopped, but no longer than that."""
        try:
            async with asyncio.timeout(patience_seconds):
                await self._empty.wait()
        except TimeoutError:
            logger.warning("stopped trials not told of before the end", count=len(self._stopped))

    async def run(self) -> None:
        """Tells of stopped attempts until cancelled."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._arrived.clear()
            while self._stopped:
                batch = [self._stopped.popleft() for _ in range(min(_BATCH, len(self._stopped)))]
                await self._return(batch, patience_seconds=_STOPPED_PATIENCE_SECONDS)
            self._empty.set()

    async def _return(self, trials: Sequence[TrialKey], *, patience_seconds: float) -> None:
        try:
            await self._session.call(
                lambda session_id: self._store.return_trials(session_id, trials),
                patience_seconds=patience_seconds,
            )
        except CrescendoError as error:
            # Those that should run are queued again when the session ends; what the others reserved
            # is free a minute after their wall limit.
            logger.warning("trials not handed back", count=len(trials), error=str(error))

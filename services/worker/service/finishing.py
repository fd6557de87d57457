"""Reporting results, in batches, until the store has answered for each of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog

from services.core.errors import CrescendoError
from services.core.trial import TrialResult
from services.worker.ports import FinishOutcome, TrialStore
from services.worker.service.holding import Holding
from services.worker.service.session import SessionKeeper

logger = structlog.get_logger()

# Waiting gathers the results of short trials into one transaction; long ones are told at once,
# because their slot has nothing else to do.
_GATHER_SECONDS = 0.05
_BATCH = 500


class Finisher:
    """Sends results; one the store cannot take now is kept and sent again, for as long as it takes."""

    def __init__(self, store: TrialStore, session: SessionKeeper, holding: Holding) -> None:
        self._store = store
        self._session = session
        self._holding = holding
        self._results: deque[TrialResult] = deque()
        self._arrived = asyncio.Event()
        self._hurry = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def submit(self, result: TrialResult, *, at_once: bool) -> None:
        """Takes a result; `at_once` when a slot has nothing to run until the store has it."""
        self._results.append(result)
        self._empty.clear()
        self._arrived.set()
        if at_once:
            self._hurry.set()

    async def wait_empty(self, *, patience_seconds: float) -> bool:
        """Waits until every result was answered. Returns: whether that came to be."""
        self._hurry.set()
        try:
            async with asyncio.timeout(patience_seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Sends results until cancelled."""
        while True:
            await self._arrived.wait()
            await self._gather()
            while self._results:
                batch = [self._results[index] for index in range(min(_BATCH, len(self._results)))]
                await self._send(batch)
                for _ in batch:
                    self._results.popleft()
                self._holding.finished(each.trial for each in batch)
            self._arrived.clear()
            self._empty.set()

    async def _gather(self) -> None:
        try:
            async with asyncio.timeout(_GATHER_SECONDS):
                await self._hurry.wait()
        except TimeoutError:
            return
        finally:
            self._hurry.clear()

    async def _send(self, batch: Sequence[TrialResult]) -> None:
        try:
            await self._finish(batch)
        except CrescendoError as error:
            if len(batch) == 1:
                # Refused for what it is: repeating it changes nothing, and holds up all others.
                logger.error(
                    "result refused by the store",
                    orchestration=batch[0].trial.orchestration_id,
                    trial=batch[0].trial.number,
                    exc_info=error,
                )
                return
            logger.warning("batch of results refused; sending one by one", error=str(error))
            for each in batch:
                await self._send([each])

    async def _finish(self, batch: Sequence[TrialResult]) -> None:
        outcomes = await self._session.call(
            lambda session_id: self._store.finish(session_id, batch), patience_seconds=None
        )
        for result, outcome in zip(batch, outcomes, strict=True):
            if outcome is not FinishOutcome.DONE:
                logger.info(
                    "result did not count",
                    orchestration=result.trial.orchestration_id,
                    trial=result.trial.number,
                    attempt=result.trial.attempt,
                    outcome=outcome.value,
                )

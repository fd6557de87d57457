"""Reporting results, in batches, until the store has answered for each of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from services.core.errors import CrescendoError, InvalidRequest, Unavailable
from services.core.trial import TrialKey, TrialResult
from services.worker.ports import FinishOutcome, Record, TrialStore
from services.worker.service.backoff import Backoff
from services.worker.service.holding import Holding
from services.worker.service.session import SessionKeeper
from services.worker.service.thresholds import Thresholds

logger = structlog.get_logger()

# Waiting gathers the results of short trials into one transaction; long ones are told at once,
# because their slot has nothing else to do.
_GATHER_SECONDS = 0.05
_BATCH = 500
# Far below what the store takes in one message.
_BATCH_BYTES = 2 * 1024 * 1024
# A store that is away for longer may be choking on one of the results: they are sent one by one then.
_BATCH_PATIENCE_SECONDS = 20.0
_REFUSALS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """A result, and the session its trial was claimed under."""

    session_id: str
    result: TrialResult


class Finisher:
    """Sends results; one the store cannot take now is kept and sent again, for as long as it takes."""

    def __init__(
        self,
        store: TrialStore,
        session: SessionKeeper,
        holding: Holding,
        thresholds: Thresholds,
        record: Record,
    ) -> None:
        self._store = store
        self._session = session
        self._holding = holding
        self._thresholds = thresholds
        self._record = record
        self._results: deque[_Report] = deque()
        self._alone = 0
        self._sending = 0
        self._refusals: dict[TrialKey, int] = {}
        self._arrived = asyncio.Event()
        self._hurry = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def waiting(self) -> int:
        """How many results were not answered yet."""
        return len(self._results) + self._sending

    def submit(self, result: TrialResult, *, session_id: str, at_once: bool) -> None:
        """Takes a result.

        Args:
            session_id: the session the trial was claimed under: it is told under that one, whichever
                is open by then, for the store takes it from no other.
            at_once: when a slot has nothing to run until the store has it.
        """
        self._results.append(_Report(session_id=session_id, result=result))
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
            backoff = Backoff()
            while self._results:
                batch = self._next()
                self._sending = len(batch)
                taken = await self._send(batch)
                self._sending = 0
                if not taken:
                    await asyncio.sleep(backoff.next_delay())
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

    def _next(self) -> list[_Report]:
        """Takes the first results out of the queue: of one session, and one where a batch was not taken lately."""
        if self._alone:
            self._alone -= 1
            return [self._results.popleft()]
        batch, size = [self._results.popleft()], 0
        while self._results and len(batch) < _BATCH:
            size += _bytes(self._results[0].result)
            if size > _BATCH_BYTES or self._results[0].session_id != batch[0].session_id:
                break
            batch.append(self._results.popleft())
        return batch

    async def _send(self, batch: Sequence[_Report]) -> bool:
        """Sends results; those that were not answered go to the end of the queue. Returns: whether all were."""
        outcomes: Sequence[FinishOutcome | None]
        claimed_under, results = batch[0].session_id, [each.result for each in batch]
        try:
            # A session must be open, for a worker without one is out of contact; but not this one.
            answers = await self._session.call(
                lambda _: self._store.finish(claimed_under, results),
                patience_seconds=_BATCH_PATIENCE_SECONDS,
            )
        except CrescendoError as error:
            if len(batch) > 1:
                logger.warning(
                    "results not taken; sending one by one", error=str(error), limit_seconds=10
                )
                # First of all, and before those that came later: so many are sent alone.
                self._results.extendleft(reversed(batch))
                self._alone = len(batch)
                return True
            if not self._is_final(results[0], error):
                self._results.append(batch[0])
                return False
            outcomes = [None]
        else:
            outcomes = answers.outcomes
            for tuning_run_id, threshold in answers.thresholds.items():
                self._thresholds.hear(tuning_run_id, threshold)
        for result, outcome in zip(results, outcomes, strict=True):
            self._note(result, outcome)
        self._holding.finished(each.trial for each in results)
        return True

    def _is_final(self, result: TrialResult, error: CrescendoError) -> bool:
        """Whether repeating a result changes nothing."""
        if isinstance(error, Unavailable):
            return False
        refusals = self._refusals.pop(result.trial, 0) + 1
        if isinstance(error, InvalidRequest) or refusals == _REFUSALS:
            logger.error("result refused by the store", **_names(result), exc_info=error)
            return True
        self._refusals[result.trial] = refusals
        return False

    def _note(self, result: TrialResult, outcome: FinishOutcome | None) -> None:
        self._refusals.pop(result.trial, None)
        self._record.answered(outcome)
        if outcome is not None and outcome is not FinishOutcome.DONE:
            logger.info("result did not count", **_names(result), outcome=outcome.value)


def _bytes(result: TrialResult) -> int:
    text = len(result.failure.message) if result.failure is not None else 0
    return 128 + 4 * text + sum(64 + 8 * len(each.scores) for each in result.metrics)


def _names(result: TrialResult) -> dict[str, str | int]:
    key = result.trial
    return {"orchestration_id": key.orchestration_id, "trial": key.number, "attempt": key.attempt}

"""Telling the store about the steps of running trials, and hearing which of them are to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from services.core.errors import CrescendoError
from services.core.pruning import PruneDecision
from services.core.trial import TrialKey
from services.worker.ports import Order, StepReport, TrialStore
from services.worker.service.session import SessionKeeper
from services.worker.service.thresholds import Thresholds

logger = structlog.get_logger()

_GATHER_SECONDS = 0.2
_PATIENCE_SECONDS = 5.0
# A trial that waits longer for the store goes on: it is told after a later step, or never, and the
# search prunes less.
_ANSWER_SECONDS = 1.0
_KEPT = 10_000
_BATCH = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """A report, and the session its trial was claimed under."""

    session_id: str
    report: StepReport
    judged: bool


class StepReporter:
    """Sends reports in batches, at once where a trial waits for the answer.

    Those that cannot be sent are dropped, for results carry all folds; but those of trials a rule
    judges are kept while the trial runs, for it judges none after a gap.

    Args:
        is_running: whether a trial still runs here: nothing is told of one that does not.
    """

    def __init__(
        self,
        store: TrialStore,
        session: SessionKeeper,
        thresholds: Thresholds,
        *,
        on_orders: Callable[[Sequence[Order]], None],
        is_running: Callable[[TrialKey], bool],
    ) -> None:
        self._store = store
        self._session = session
        self._thresholds = thresholds
        self._on_orders = on_orders
        self._is_running = is_running
        self._waiting: list[_Told] = []
        self._answers: dict[TrialKey, asyncio.Future[None]] = {}
        self._stops: dict[TrialKey, PruneDecision] = {}
        self._arrived = asyncio.Event()
        self._hurry = asyncio.Event()
        self._is_away = False

    def submit(self, report: StepReport, *, session_id: str, judged: bool = False) -> None:
        """Takes a report about a trial that was claimed under a session.

        Args:
            judged: whether a rule in the store needs every step of the trial.
        """
        self._waiting.append(_Told(session_id=session_id, report=report, judged=judged))
        self._arrived.set()

    async def answered(self, trial: TrialKey) -> None:
        """Waits until the store has answered what was submitted about a trial, but not for long.

        With the store away, one trial finds that out for all: none waits before it has answered again.
        """
        if self._is_away:
            return
        answer = asyncio.get_running_loop().create_future()
        self._answers[trial] = answer
        self._hurry.set()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await answer
        except TimeoutError:
            self._is_away = True
            logger.info("no answer to a step in time: the trial goes on", limit_seconds=10)
        finally:
            self._answers.pop(trial, None)

    def stop_of(self, trial: TrialKey) -> PruneDecision | None:
        """Gives why a trial is to stop, if the store has said so."""
        return self._stops.get(trial)

    def forget(self, trial: TrialKey) -> None:
        """Forgets a trial that does not run any more."""
        self._stops.pop(trial, None)

    async def run(self) -> None:
        """Sends reports until cancelled."""
        while True:
            await self._arrived.wait()
            await self._gather()
            self._arrived.clear()
            told = [each for each in self._waiting if self._is_running(each.report.trial)]
            self._waiting = []
            for session_id in dict.fromkeys(each.session_id for each in told):
                mine = [each for each in told if each.session_id == session_id]
                for first in range(0, len(mine), _BATCH):
                    await self._send(session_id, mine[first : first + _BATCH])

    async def _gather(self) -> None:
        try:
            async with asyncio.timeout(_GATHER_SECONDS):
                await self._hurry.wait()
        except TimeoutError:
            return
        finally:
            self._hurry.clear()

    async def _send(self, claimed_under: str, told: Sequence[_Told]) -> None:
        reports = [each.report for each in told]
        try:
            answer = await self._session.call(
                lambda _: self._store.report_steps(claimed_under, reports),
                patience_seconds=_PATIENCE_SECONDS,
            )
        except CrescendoError as error:
            kept = [each for each in told if each.judged]
            logger.info("steps not reported", count=len(reports), kept=len(kept), error=str(error))
            # Before those that came meanwhile; the next one to come takes them along.
            self._waiting = [*kept, *self._waiting][:_KEPT]
        else:
            self._is_away = False
            self._stops.update(
                {key: stop for key, stop in answer.stops.items() if self._is_running(key)}
            )
            for tuning_run_id, threshold in answer.thresholds.items():
                self._thresholds.hear(tuning_run_id, threshold)
            if answer.orders:
                self._on_orders(answer.orders)
        for trial in {each.trial for each in reports}:
            waiting = self._answers.get(trial)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)

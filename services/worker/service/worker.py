"""The worker: from a message to claimed trials, through the slots, to reported results."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence

import structlog

from services.core.errors import CrescendoError
from services.core.trial import (
    Failure,
    FailureKind,
    SplitScores,
    TrialKey,
    TrialResult,
    TrialState,
)
from services.worker.ports import (
    DatasetError,
    Datasets,
    Evaluation,
    Evaluator,
    FoldReport,
    Order,
    TrialBatch,
    TrialStore,
)
from services.worker.service.finishing import Finisher
from services.worker.service.folds import FoldReporter
from services.worker.service.holding import Holding, Work
from services.worker.service.preparing import Preparations
from services.worker.service.session import Presence, SessionKeeper

logger = structlog.get_logger()

_SLOT_PATIENCE_SECONDS = 5.0
_CLAIM_PATIENCE_SECONDS = 60.0
_RETURN_PATIENCE_SECONDS = 10.0
_FLUSH_PATIENCE_SECONDS = 10.0


class Worker:
    """Runs trials in a fixed number of slots.

    Args:
        trial_timeout_seconds: wall limit of any trial, beside the one its spec may set.
    """

    def __init__(
        self,
        *,
        store: TrialStore,
        datasets: Datasets,
        evaluator: Evaluator,
        worker_class: str,
        worker_name: str,
        slots: int,
        trial_timeout_seconds: float | None = None,
    ) -> None:
        self._store = store
        self._evaluator = evaluator
        self._trial_timeout_seconds = trial_timeout_seconds
        self._holding = Holding(slots)
        presence = Presence(
            worker_class=worker_class,
            worker_name=worker_name,
            slots=slots,
            held=self._holding.held,
            free_slots=self._holding.free_slots,
        )
        self._session = SessionKeeper(store, presence, on_orders=self._obey)
        self._preparations = Preparations(store, datasets)
        self._finisher = Finisher(store, self._session, self._holding)
        self._folds = FoldReporter(store, self._session, on_orders=self._obey)
        self._draining = False

    async def run(self) -> None:
        """Works until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._session.run())
                group.create_task(self._finisher.run())
                group.create_task(self._folds.run())
                for _ in range(self._holding.slots):
                    group.create_task(self._slot())
        finally:
            await self._preparations.close()

    async def wait_registered(self) -> None:
        """Waits until the store knows this worker."""
        await self._session.wait_registered()

    async def take(self, batch: TrialBatch) -> None:
        """Claims a batch once there is room for it, or hands it back; then its message may be forgotten.

        A batch that is neither claimed nor handed back (the store was away for too long) is published
        again by itself: it is still queued.
        """
        if self._draining or not await self._holding.reserve(
            patience_seconds=_SLOT_PATIENCE_SECONDS
        ):
            # Not `_give_back`: this very worker may run one of them, claimed from an earlier message.
            await self._decline(batch.trials)
            return
        try:
            await self._claim(batch)
        finally:
            self._holding.release()

    async def drain(self, *, grace_seconds: float) -> None:
        """Finishes what runs within a grace, hands the rest back, ends the session.

        Nothing may be given to `take` any more.
        """
        self._draining = True
        returned = self._holding.take_waiting()
        if returned:
            await self._give_back(returned)
        if not await self._holding.wait_idle(patience_seconds=grace_seconds):
            stopped = self._holding.stop_running()
            logger.warning("trials still run after the grace: handed back", count=len(stopped))
            await self._give_back(stopped)
        if not await self._finisher.wait_empty(patience_seconds=_FLUSH_PATIENCE_SECONDS):
            logger.error("results could not be reported before the end")
        await self._session.close()

    def _obey(self, orders: Sequence[Order]) -> None:
        for order in orders:
            self._holding.obey(order)

    async def _claim(self, batch: TrialBatch) -> None:
        claim_id = str(uuid.uuid4())
        try:
            claim = await self._session.call(
                lambda session_id: self._store.claim(session_id, claim_id, batch),
                patience_seconds=_CLAIM_PATIENCE_SECONDS,
            )
        except CrescendoError as error:
            logger.warning(
                "trials not claimed",
                orchestration=batch.orchestration_id,
                count=len(batch.trials),
                error=str(error),
            )
            return
        if claim.stale:
            logger.info("stale message", orchestration=batch.orchestration_id, stale=claim.stale)
        works = [
            Work(key=each.key, tuning_run_id=batch.tuning_run_id, parameters=each.parameters)
            for each in claim.trials
        ]
        if works:
            await self._holding.add(works)

    async def _give_back(self, trials: Sequence[TrialKey]) -> None:
        try:
            await self._session.call(
                lambda session_id: self._store.return_trials(session_id, trials),
                patience_seconds=_RETURN_PATIENCE_SECONDS,
            )
        except CrescendoError as error:
            # They are queued again when the session ends.
            logger.warning("trials not handed back", count=len(trials), error=str(error))

    async def _decline(self, trials: Sequence[TrialKey]) -> None:
        try:
            await self._session.call(
                lambda session_id: self._store.decline_trials(session_id, trials),
                patience_seconds=_RETURN_PATIENCE_SECONDS,
            )
        except CrescendoError as error:
            # Dispatched and never claimed: the store hands them out again by itself.
            logger.warning("trials not declined", count=len(trials), error=str(error))

    async def _slot(self) -> None:
        """Runs one trial after another."""
        while True:
            work = await self._holding.next()
            started = time.monotonic()
            task = asyncio.create_task(self._run(work))
            self._holding.started(work, task)
            try:
                await asyncio.wait({task})
            finally:
                if not task.done():
                    task.cancel()
            result = self._result(work, task, time.monotonic() - started)
            seconds = result.duration_seconds if result is not None else None
            self._holding.stopped(work, to_finish=result is not None, seconds=seconds)
            if result is not None:
                self._finisher.submit(result, at_once=not self._holding.has_waiting)

    async def _run(self, work: Work) -> tuple[Evaluation, float]:
        """Evaluates one trial. Returns: also how long it took once everything was prepared."""
        try:
            preparation = await self._preparations.get(work.tuning_run_id)
        except (CrescendoError, DatasetError, OSError) as error:
            logger.error("tuning run cannot be prepared", exc_info=error, **_names(work.key))
            failure = Failure(
                kind=FailureKind.INFRA, message=f"the trial could not be prepared: {_told(error)}"
            )
            return Evaluation(failure=failure), 0.0
        work.objective = preparation.spec.metrics[0]
        limits = (preparation.spec.trial_timeout_seconds, self._trial_timeout_seconds)
        started = time.monotonic()

        def on_split(split: int, score: float) -> None:
            work.splits.append(score)
            self._folds.submit(FoldReport(trial=work.key, split=split, score=score))

        evaluation = await self._evaluator.evaluate(
            preparation,
            work.parameters,
            timeout_seconds=min((each for each in limits if each is not None), default=None),
            on_split=on_split,
        )
        return evaluation, time.monotonic() - started

    def _result(
        self,
        work: Work,
        task: asyncio.Task[tuple[Evaluation, float]],
        elapsed: float,
    ) -> TrialResult | None:
        """Makes the result of a trial that ended; None for one that was cancelled."""
        if task.cancelled():
            if not work.pruned:
                logger.info("trial stopped", **_names(work.key))
                return None
            return TrialResult(
                trial=work.key,
                state=TrialState.PRUNED,
                metrics=_known_splits(work),
                duration_seconds=elapsed,
            )
        error = task.exception()
        if error is not None:
            logger.error("evaluation failed inside the worker", exc_info=error, **_names(work.key))
            failure = Failure(
                kind=FailureKind.INFRA, message="the worker failed while it ran the trial"
            )
            return TrialResult(trial=work.key, state=TrialState.FAILED, failure=failure)
        evaluation, seconds = task.result()
        metrics = evaluation.metrics
        if evaluation.failure is not None and not metrics:
            # The child died with its answer; what it had told before still counts as evidence.
            metrics = _known_splits(work)
        return TrialResult(
            trial=work.key,
            state=TrialState.SUCCEEDED if evaluation.failure is None else TrialState.FAILED,
            metrics=metrics,
            failure=evaluation.failure,
            fit_seconds=evaluation.fit_seconds,
            score_seconds=evaluation.score_seconds,
            duration_seconds=seconds,
        )


def _known_splits(work: Work) -> tuple[SplitScores, ...]:
    if not work.splits:
        return ()
    return (SplitScores(metric=work.objective, scores=tuple(work.splits)),)


def _names(key: TrialKey) -> dict[str, str | int]:
    return {"orchestration": key.orchestration_id, "trial": key.number, "attempt": key.attempt}


def _told(error: Exception) -> str:
    # An operating system's error names paths; everyone who may see the trial would see them.
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)

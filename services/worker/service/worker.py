"""The worker: from a message to claimed trials, through the slots, to reported results."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence

import structlog

from services.core.errors import CrescendoError
from services.core.pruning import place_of
from services.core.step_judging import StepScore
from services.core.trial import (
    Failure,
    FailureKind,
    SplitScores,
    TrialKey,
    TrialResult,
    TrialState,
)
from services.worker.ports import (
    Advice,
    Claim,
    DatasetError,
    Datasets,
    Evaluation,
    Evaluator,
    Order,
    Preparation,
    Record,
    Standard,
    StepReport,
    TrialBatch,
    TrialStore,
)
from services.worker.service.finishing import Finisher
from services.worker.service.holding import Holding, Work
from services.worker.service.preparing import Preparations
from services.worker.service.returning import Returner
from services.worker.service.session import Presence, SessionKeeper
from services.worker.service.steps import StepReporter
from services.worker.service.thresholds import Thresholds

logger = structlog.get_logger()

_SLOT_PATIENCE_SECONDS = 5.0
_CLAIM_PATIENCE_SECONDS = 60.0
_FLUSH_PATIENCE_SECONDS = 10.0
_CLOSE_PATIENCE_SECONDS = 3.0


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
        record: Record,
        worker_class: str,
        worker_name: str,
        slots: int,
        trial_timeout_seconds: float | None = None,
    ) -> None:
        self._store = store
        self._evaluator = evaluator
        self._record = record
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
        self._thresholds = Thresholds()
        self._finisher = Finisher(store, self._session, self._holding, self._thresholds, record)
        self._returner = Returner(store, self._session)
        self._steps = StepReporter(
            store,
            self._session,
            self._thresholds,
            on_orders=self._obey,
            is_running=self._holding.is_running,
        )
        self._draining = False
        self._ended = False

    async def run(self) -> None:
        """Works until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._session.run())
                group.create_task(self._finisher.run())
                group.create_task(self._steps.run())
                group.create_task(self._returner.run())
                for _ in range(self._holding.slots):
                    group.create_task(self._slot())
        finally:
            self._ended = True
            await self._preparations.close()

    def free_slots(self) -> int:
        """Counts the slots that nothing runs in or is on its way to."""
        return self._holding.free_slots()

    def unreported(self) -> int:
        """Counts the results the store has not answered yet."""
        return self._finisher.waiting

    def has_session(self) -> bool:
        """Whether the store knew of this worker at its last beat."""
        return self._session.is_held

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
            # Not `give_back`: this very worker may run one of them, claimed from an earlier message.
            await self._returner.decline(batch.trials)
            return
        try:
            await self._claim(batch)
        finally:
            self._holding.release()

    async def drain(self, *, grace_seconds: float) -> None:
        """Finishes what runs within a grace, hands the rest back, ends the session.

        Nothing may be given to `take` any more. With the store away this takes the grace and thirteen
        seconds; what it was not told, it finds out when the session's lease ends.
        """
        self._draining = True
        waiting = self._holding.take_waiting()
        handing_back = [asyncio.create_task(self._returner.give_back(waiting))] if waiting else []
        # A worker that failed runs nothing any more, whatever it still holds.
        grace = 0.0 if self._ended else grace_seconds
        if not await self._holding.wait_idle(patience_seconds=grace):
            stopped = self._holding.stop_running()
            logger.warning("trials still run after the grace: handed back", count=len(stopped))
            handing_back.append(asyncio.create_task(self._returner.give_back(stopped)))
        flushed, *_ = await asyncio.gather(
            self._finisher.wait_empty(patience_seconds=_FLUSH_PATIENCE_SECONDS),
            self._returner.wait_empty(patience_seconds=_FLUSH_PATIENCE_SECONDS),
            *handing_back,
        )
        if not flushed:
            logger.error(
                "results could not be reported before the end", count=self._finisher.waiting
            )
        await self._session.close(patience_seconds=_CLOSE_PATIENCE_SECONDS)

    def _obey(self, orders: Sequence[Order]) -> None:
        self._returner.stopped([each.trial for each in orders if self._holding.obey(each)])

    async def _claim(self, batch: TrialBatch) -> None:
        claim_id = str(uuid.uuid4())

        async def claim_under(session_id: str) -> tuple[str, Claim]:
            return session_id, await self._store.claim(session_id, claim_id, batch)

        try:
            session_id, claim = await self._session.call(
                claim_under, patience_seconds=_CLAIM_PATIENCE_SECONDS
            )
        except CrescendoError as error:
            logger.warning(
                "trials not claimed",
                orchestration_id=batch.orchestration_id,
                count=len(batch.trials),
                error=str(error),
            )
            return
        self._record.claimed(taken=len(claim.trials), later=claim.later, stale=claim.stale)
        if claim.stale:
            logger.info("stale message", orchestration_id=batch.orchestration_id, stale=claim.stale)
        self._thresholds.hear(batch.tuning_run_id, claim.threshold)
        works = [
            Work(
                key=each.key,
                session_id=session_id,
                tuning_run_id=batch.tuning_run_id,
                parameters=each.parameters,
                place=place_of(each.candidate_index, each.key.number),
                request_id=batch.request_id,
            )
            for each in claim.trials
        ]
        if works:
            self._returner.stopped(await self._holding.add(works))

    async def _slot(self) -> None:
        """Runs one trial after another."""
        while True:
            work = await self._holding.next()
            named = {"request_id": work.request_id} if work.request_id else {}
            with structlog.contextvars.bound_contextvars(**named):
                await self._run_to_its_end(work)

    async def _run_to_its_end(self, work: Work) -> None:
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
        self._steps.forget(work.key)
        self._record.ended(result)
        self._holding.stopped(work, to_finish=result is not None, seconds=seconds)
        if result is not None:
            self._finisher.submit(
                result, session_id=work.session_id, at_once=not self._holding.has_waiting
            )
        elif work.cancelled:
            self._returner.stopped([work.key])

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

        advisor = _Advisor(self._steps, self._thresholds, work, preparation)
        evaluation = await self._evaluator.evaluate(
            preparation,
            work.parameters,
            timeout_seconds=min((each for each in limits if each is not None), default=None),
            on_split=lambda _, score: work.splits.append(score),
            standard=advisor.standard(),
            advisor=advisor,
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
        if evaluation.failure is not None:
            state = TrialState.FAILED
        elif evaluation.prune_decision is not None:
            state = TrialState.PRUNED
        else:
            state = TrialState.SUCCEEDED
        return TrialResult(
            trial=work.key,
            state=state,
            metrics=metrics,
            failure=evaluation.failure,
            fit_seconds=evaluation.fit_seconds,
            score_seconds=evaluation.score_seconds,
            duration_seconds=seconds,
            prune_decision=evaluation.prune_decision,
            splits=evaluation.splits,
            interval_method=evaluation.interval_method,
        )


class _Advisor:
    """Tells the store about the steps of one trial, and the trial what came of it."""

    def __init__(
        self, steps: StepReporter, thresholds: Thresholds, work: Work, preparation: Preparation
    ) -> None:
        self._steps = steps
        self._thresholds = thresholds
        self._work = work
        pruning = preparation.pruning
        self._is_judged = pruning is not None and pruning.guesses

    async def __call__(self, score: StepScore, *, waits: bool) -> Advice:
        work = self._work
        self._steps.submit(
            StepReport(trial=work.key, score=score),
            session_id=work.session_id,
            judged=self._is_judged,
        )
        if waits:
            await self._steps.answered(work.key)
        return Advice(stop=self._steps.stop_of(work.key), standard=self.standard())

    def standard(self) -> Standard | None:
        """Gives what the trial must beat by what is known now."""
        threshold = self._thresholds.of(self._work.tuning_run_id)
        return None if threshold is None else Standard(threshold=threshold, place=self._work.place)


def _known_splits(work: Work) -> tuple[SplitScores, ...]:
    if not work.splits:
        return ()
    return (SplitScores(metric=work.objective, scores=tuple(work.splits)),)


def _names(key: TrialKey) -> dict[str, str | int]:
    return {"orchestration_id": key.orchestration_id, "trial": key.number, "attempt": key.attempt}


def _told(error: Exception) -> str:
    # An operating system's error names paths; everyone who may see the trial would see them.
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)

"""A worker that fits nothing: it claims and finishes real trials over the store's TrialService."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc

from services.common.convert.values import assignment_from_proto
from services.common.messaging.port import Broker, Disposition
from services.common.rpc.client import open_channel
from services.core.space import Value
from tuning.v1 import objective_pb2, task_messages_pb2, trial_pb2, trial_service_pb2_grpc
from tuning.v1 import trial_service_pb2 as pb

Score = Callable[[Mapping[str, Value]], float | None]
AnswerT = TypeVar("AnswerT")

_BEAT_SECONDS = 3.0
_AGAIN_SECONDS = 0.1


class ScoringWorker:
    """Scores each trial by a function of its parameters; a score of None fails it.

    `permits` lets trials end: set free from the start, or one by one with `allow`.
    """

    def __init__(self, stub: Any, session_id: str, *, slots: int, score: Score, held: bool) -> None:
        self._stub = stub
        self._session_id = session_id
        self._slots = asyncio.Semaphore(slots)
        self._score = score
        self._free = asyncio.Event()
        self._permits = asyncio.Semaphore(0)
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[tuple[str, int], pb.TrialAttempt] = {}
        self.finished: list[tuple[str, int]] = []
        self.most_running = 0
        self.received: list[tuple[str, int, int]] = []
        if not held:
            self.let_go()

    def let_go(self) -> None:
        """Lets every trial end, now and later."""
        self._free.set()
        for _ in range(1_000):
            self._permits.release()

    def allow(self, count: int) -> None:
        """Lets that many trials end."""
        for _ in range(count):
            self._permits.release()

    async def handle(self, body: bytes) -> Disposition:
        """Claims a batch once a slot is free, and works on it in a task of its own."""
        batch = task_messages_pb2.TrialBatch.FromString(body)
        self.received += [
            (batch.orchestration_id, each.number, each.attempt) for each in batch.trials
        ]
        await self._slots.acquire()
        request = pb.ClaimTrialsRequest(
            session_id=self._session_id,
            claim_id=str(uuid.uuid4()),
            orchestration_id=batch.orchestration_id,
            tuning_run_id=batch.tuning_run_id,
            trials=batch.trials,
        )
        claimed = await _answered(lambda: self._stub.ClaimTrials(request, timeout=60))
        for trial in claimed.trials:
            self._running[(batch.orchestration_id, trial.number)] = pb.TrialAttempt(
                orchestration_id=batch.orchestration_id, number=trial.number, attempt=trial.attempt
            )
        self.most_running = max(self.most_running, len(self._running))
        task = asyncio.create_task(self._work(batch.orchestration_id, list(claimed.trials)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return Disposition.ACK

    async def _work(self, orchestration_id: str, trials: list[pb.ClaimedTrial]) -> None:
        try:
            results = []
            for trial in trials:
                if not self._free.is_set():
                    await self._permits.acquire()
                results.append(self._result(self._running[(orchestration_id, trial.number)], trial))
                if not self._free.is_set():
                    # A trial that was allowed to end has ended, whatever waits behind it.
                    await self._finish(results)
                    results = []
            await self._finish(results)
        finally:
            self._slots.release()

    async def _finish(self, results: list[pb.TrialResult]) -> None:
        if results:
            request = pb.FinishTrialsRequest(session_id=self._session_id, results=results)
            await _answered(lambda: self._stub.FinishTrials(request, timeout=60))
        for result in results:
            key = (result.trial.orchestration_id, result.trial.number)
            del self._running[key]
            self.finished.append(key)

    def _result(self, attempt: pb.TrialAttempt, trial: pb.ClaimedTrial) -> pb.TrialResult:
        score = self._score(assignment_from_proto(trial.parameters))
        if score is None:
            return pb.TrialResult(
                trial=attempt,
                state=trial_pb2.TRIAL_STATE_FAILED,
                failure=trial_pb2.TrialFailure(
                    kind=trial_pb2.FAILURE_KIND_EXCEPTION, message="ValueError: no such luck"
                ),
                duration_seconds=0.01,
            )
        metric = objective_pb2.MetricScores(metric="accuracy", split_scores=[score] * 5)
        return pb.TrialResult(
            trial=attempt,
            state=trial_pb2.TRIAL_STATE_SUCCEEDED,
            metrics=[metric],
            fit_seconds=0.008,
            score_seconds=0.002,
            duration_seconds=0.01,
        )

    async def beat(self) -> None:
        """Renews the session until cancelled."""
        while True:
            await _answered(self._renew)
            await asyncio.sleep(_BEAT_SECONDS)

    async def _renew(self) -> None:
        request = pb.HeartbeatRequest(
            session_id=self._session_id, held=list(self._running.values())
        )
        await self._stub.Heartbeat(request, timeout=60)

    async def stop(self) -> None:
        """Drops what is under way and ends the session, as a worker does that drains."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stub.CloseSession(pb.CloseSessionRequest(session_id=self._session_id))


async def _answered(call: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
    """Calls until there is an answer, as workers do: a busy store may have to be asked again."""
    while True:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        await asyncio.sleep(_AGAIN_SECONDS)


@asynccontextmanager
async def scoring_worker(
    internal_address: str, broker: Broker, *, score: Score, slots: int = 2, held: bool = False
) -> AsyncIterator[ScoringWorker]:
    """Runs a worker; with `held`, trials end only when allowed to."""
    async with open_channel(internal_address) as channel:
        stub: Any = trial_service_pb2_grpc.TrialServiceStub(channel)
        session = await stub.RegisterSession(
            pb.RegisterSessionRequest(worker_class="default", worker_name="scoring", slots=slots)
        )
        worker = ScoringWorker(stub, session.session_id, slots=slots, score=score, held=held)
        beating = asyncio.create_task(worker.beat())
        try:
            async with broker.consume("default", prefetch=slots, handler=worker.handle):
                yield worker
        finally:
            beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beating
            await worker.stop()

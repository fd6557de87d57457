"""A worker that does nothing but report: events of one orchestration at a steady pace."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Self

import grpc

from benchmarks.stack import Stack
from tuning.v1 import task_messages_pb2, trial_service_pb2, trial_service_pb2_grpc

EVENTS_PER_SECOND = 50.0
_BEAT_SECONDS = 5.0
_LOOK_SECONDS = 0.1
_PATIENCE_SECONDS = 120.0


class Emitter:
    """A worker that holds one trial and reports a fold of it every 20 ms."""

    def __init__(self, channel: grpc.aio.Channel, orchestration_id: str, run_id: str) -> None:
        self._channel = channel
        self._store = trial_service_pb2_grpc.TrialServiceStub(channel)
        self._orchestration_id = orchestration_id
        self._tuning_run_id = run_id
        self._trial = trial_service_pb2.TrialAttempt(orchestration_id=orchestration_id)
        self._session_id = ""
        self._stopped = False

    @classmethod
    def of(cls, stack: Stack, orchestration_id: str, run_id: str) -> Self:
        """Connects to a stack's store."""
        address = stack.cluster.store_internal_address
        return cls(grpc.aio.insecure_channel(address), orchestration_id, run_id)

    async def __aenter__(self) -> Self:
        session = await self._store.RegisterSession(
            trial_service_pb2.RegisterSessionRequest(
                worker_class="default", worker_name="emitter", slots=1
            )
        )
        self._session_id = session.session_id
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not await self._claim():  # noqa: ASYNC110 (the coordinator creates it)
                await asyncio.sleep(_LOOK_SECONDS)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close(None)

    def stop(self) -> None:
        """Lets `run` return."""
        self._stopped = True

    async def run(self) -> None:
        """Reports until stopped."""
        step, due_at, beat_at = 0, time.monotonic(), 0.0
        while not self._stopped:
            now = time.monotonic()
            if now >= beat_at:
                await self._store.Heartbeat(
                    trial_service_pb2.HeartbeatRequest(
                        session_id=self._session_id, held=[self._trial]
                    )
                )
                beat_at = now + _BEAT_SECONDS
            steps = []
            while due_at <= now:
                step += 1
                due_at += 1 / EVENTS_PER_SECOND
                steps.append(trial_service_pb2.StepReport(trial=self._trial, step=step, value=0.5))
            if steps:
                await self._store.ReportSteps(
                    trial_service_pb2.ReportStepsRequest(session_id=self._session_id, steps=steps)
                )
            await asyncio.sleep(max(0.0, due_at - time.monotonic()))

    async def _claim(self) -> bool:
        claimed = await self._store.ClaimTrials(
            trial_service_pb2.ClaimTrialsRequest(
                session_id=self._session_id,
                claim_id=str(uuid.uuid4()),
                orchestration_id=self._orchestration_id,
                tuning_run_id=self._tuning_run_id,
                trials=[task_messages_pb2.TrialReference(number=0, attempt=0)],
            )
        )
        return bool(claimed.trials)

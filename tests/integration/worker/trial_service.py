"""A store's TrialService with its state in memory, on a real gRPC server."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.duration_pb2 import Duration

from services.common.convert.objectives import evaluation_to_proto
from services.common.convert.trials import trial_key_from_proto, trial_result_from_proto
from services.common.convert.values import assignment_to_proto
from services.common.rpc.server import RpcServer, service_name
from services.core.errors import NotFound, Unavailable, WrongState
from services.core.objective import EvaluationSpec
from services.core.space import Assignment
from services.core.trial import TrialKey, TrialResult, TrialState
from tests.integration.worker.datasets import StoredDataset
from tuning.v1 import task_messages_pb2
from tuning.v1 import trial_service_pb2 as pb
from tuning.v1.trial_service_pb2_grpc import (
    TrialServiceServicer,
    add_TrialServiceServicer_to_server,
)

# Children import for seconds before their first fit: on a busy machine, for a minute.
DEADLINE = 120.0
ORCHESTRATION = str(uuid.UUID(int=1))
RUN = str(uuid.UUID(int=2))


@dataclass(kw_only=True)
class StoredTrial:
    """One trial's row."""

    number: int
    parameters: Assignment
    state: TrialState = TrialState.QUEUED
    attempt: int = 0
    session_id: str = ""
    claim_id: str = ""
    result: TrialResult | None = None

    @property
    def key(self) -> TrialKey:
        return TrialKey(orchestration_id=ORCHESTRATION, number=self.number, attempt=self.attempt)


@dataclass(kw_only=True)
class MemoryTrialService(TrialServiceServicer):
    """Keeps one tuning run; tells `changed` after every call, so that tests wait on conditions."""

    spec: EvaluationSpec
    dataset: StoredDataset
    trials: dict[int, StoredTrial] = field(default_factory=dict)
    sessions: dict[str, list[pb.Order]] = field(default_factory=dict)
    ended_sessions: set[str] = field(default_factory=set)
    registrations: list[pb.RegisterSessionRequest] = field(default_factory=list)
    beats: list[pb.HeartbeatRequest] = field(default_factory=list)
    folds: list[pb.StepReport] = field(default_factory=list)
    returned: list[TrialKey] = field(default_factory=list)
    failing_returns: int = 0
    declined: list[TrialKey] = field(default_factory=list)
    downloads: int = 0
    away: bool = False
    beat_seconds: float = 0.2
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _orders: asyncio.Event = field(default_factory=asyncio.Event)

    def add_trials(self, *points: Assignment) -> list[int]:
        """Queues trials. Returns: their numbers."""
        first = len(self.trials)
        for number, point in enumerate(points, first):
            self.trials[number] = StoredTrial(number=number, parameters=point)
        return list(range(first, first + len(points)))

    def message(self, *numbers: int) -> bytes:
        """The body that says these trials wait."""
        return task_messages_pb2.TrialBatch(
            version=1,
            orchestration_id=ORCHESTRATION,
            tuning_run_id=RUN,
            trials=[
                task_messages_pb2.TrialReference(number=number, attempt=self.trials[number].attempt)
                for number in numbers
            ],
        ).SerializeToString()

    def order(self, kind: pb.OrderKind.ValueType, number: int) -> None:
        """Sends an order down the stream of the session that runs a trial."""
        trial = self.trials[number]
        key = pb.TrialAttempt(orchestration_id=ORCHESTRATION, number=number, attempt=trial.attempt)
        self.sessions[trial.session_id].append(pb.Order(kind=kind, trial=key))
        self._orders.set()

    def cancel(self, *numbers: int) -> None:
        """Ends running trials as CANCELLED and has their workers stop them."""
        for number in numbers:
            self.trials[number].state = TrialState.CANCELLED
            self.order(pb.ORDER_KIND_CANCEL, number)

    def forget_sessions(self) -> None:
        """Loses all sessions, as when their leases ran out."""
        self.ended_sessions |= set(self.sessions)
        self.sessions.clear()
        self._orders.set()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Waits until a condition on this store holds."""
        try:
            async with asyncio.timeout(DEADLINE), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            raise AssertionError(f"not within {DEADLINE:g} s: {what}") from None

    async def until_terminal(self, *numbers: int) -> list[TrialResult]:
        """Waits until trials ended. Returns: their results."""
        await self.until(
            lambda: all(self.trials[number].state.is_terminal for number in numbers),
            f"trials {numbers} end",
        )
        return [result for number in numbers if (result := self.trials[number].result)]

    async def RegisterSession(self, request: Any, context: Any) -> Any:
        async with self._call():
            session_id = str(uuid.uuid4())
            self.sessions[session_id] = []
            self.registrations.append(request)
            beat, lease = Duration(), Duration(seconds=35)
            beat.FromNanoseconds(int(self.beat_seconds * 1e9))
            return pb.RegisterSessionResponse(
                session_id=session_id, lease=lease, beat_interval=beat
            )

    async def Heartbeat(self, request: Any, context: Any) -> Any:
        async with self._call():
            self._check(request.session_id)
            self.beats.append(request)
            return pb.HeartbeatResponse()

    async def ListenSession(self, request: Any, context: Any) -> AsyncIterator[Any]:
        while True:
            async with self._call():
                self._check(request.session_id)
                orders, self.sessions[request.session_id] = self.sessions[request.session_id], []
                self._orders.clear()
            if orders:
                yield pb.ListenSessionResponse(orders=orders)
            await self._orders.wait()

    async def CloseSession(self, request: Any, context: Any) -> Any:
        async with self._call():
            self._check(request.session_id)
            del self.sessions[request.session_id]
            self.ended_sessions.add(request.session_id)
            for trial in self.trials.values():
                if trial.session_id == request.session_id:
                    self._requeue(trial)
            return pb.CloseSessionResponse()

    async def GetEvaluationSpec(self, request: Any, context: Any) -> Any:
        async with self._call():
            return pb.GetEvaluationSpecResponse(spec=evaluation_to_proto(self.spec))

    async def ClaimTrials(self, request: Any, context: Any) -> Any:
        async with self._call():
            self._check(request.session_id)
            response = pb.ClaimTrialsResponse()
            for reference in request.trials:
                trial = self.trials[reference.number]
                again = trial.claim_id == request.claim_id
                if trial.attempt != reference.attempt or not (
                    trial.state is TrialState.QUEUED or again
                ):
                    response.stale_numbers.append(reference.number)
                    continue
                trial.state = TrialState.RUNNING
                trial.session_id, trial.claim_id = request.session_id, request.claim_id
                response.trials.add(
                    number=trial.number,
                    attempt=trial.attempt,
                    parameters=assignment_to_proto(trial.parameters),
                )
            return response

    async def ReturnTrials(self, request: Any, context: Any) -> Any:
        async with self._call():
            self._check(request.session_id)
            if self.failing_returns:
                self.failing_returns -= 1
                raise Unavailable("the test says trials cannot be returned now")
            for each in request.trials:
                self.returned.append(trial_key_from_proto(each))
                self._requeue(self.trials[each.number])
            self.declined.extend(map(trial_key_from_proto, request.unclaimed))
            return pb.ReturnTrialsResponse()

    async def ReportFolds(self, request: Any, context: Any) -> Any:
        raise NotImplementedError("workers of today report steps")

    async def ReportSteps(self, request: Any, context: Any) -> Any:
        async with self._call():
            self.folds.extend(request.steps)
            return pb.ReportStepsResponse()

    async def FinishTrials(self, request: Any, context: Any) -> Any:
        async with self._call():
            response = pb.FinishTrialsResponse()
            for each in request.results:
                outcome = self._finish(request.session_id, trial_result_from_proto(each))
                response.answers.add(trial=each.trial, outcome=outcome)
            return response

    async def DownloadDataset(self, request: Any, context: Any) -> AsyncIterator[Any]:
        async with self._call():
            self.downloads += 1
        content = self.dataset.content
        for start in range(0, len(content), 1 << 20):
            yield pb.DownloadDatasetResponse(chunk=content[start : start + (1 << 20)])

    @contextlib.asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        if self.away:
            raise Unavailable("the test says the store is away")
        async with self._changed:
            yield
            self._changed.notify_all()

    def _check(self, session_id: str) -> None:
        if session_id in self.ended_sessions:
            raise WrongState(f"session {session_id} has ended", reason="SESSION_ENDED")
        if session_id not in self.sessions:
            raise NotFound(f"session {session_id} does not exist")

    def _finish(self, session_id: str, result: TrialResult) -> pb.FinishOutcome.ValueType:
        trial = self.trials[result.trial.number]
        if trial.result is not None and trial.result.trial == result.trial:
            return pb.FINISH_OUTCOME_DUPLICATE
        if trial.state is not TrialState.RUNNING or trial.attempt != result.trial.attempt:
            return pb.FINISH_OUTCOME_FENCED
        if trial.session_id != session_id:
            return pb.FINISH_OUTCOME_FENCED
        trial.state, trial.result = result.state, result
        return pb.FINISH_OUTCOME_DONE

    def _requeue(self, trial: StoredTrial) -> None:
        if trial.state is TrialState.RUNNING:
            trial.state, trial.session_id = TrialState.QUEUED, ""
            trial.attempt += 1


@contextlib.asynccontextmanager
async def serving(service: MemoryTrialService, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Serves it. Yields: the address."""
    server = RpcServer(
        listen=listen,
        services=[
            (
                service_name(pb.DESCRIPTOR, "TrialService"),
                lambda grpc_server: add_TrialServiceServicer_to_server(service, grpc_server),
            )
        ],
    )
    address = await server.start()
    try:
        yield address
    finally:
        await server.stop(0)

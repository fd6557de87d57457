"""The trial store port over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import TypeVar

import grpc
from grpc.aio import AioRpcError

from services.common.convert.objectives import evaluation_from_proto
from services.common.convert.pruning import (
    decision_from_proto,
    pruning_from_proto,
    step_kind_to_proto,
    threshold_from_proto,
)
from services.common.convert.trials import (
    trial_key_from_proto,
    trial_key_to_proto,
    trial_result_to_proto,
)
from services.common.convert.values import assignment_from_proto
from services.common.rpc.status import from_rpc_error
from services.core.errors import Unavailable
from services.core.trial import TrialKey, TrialResult
from services.worker.adapters.metrics import BEATS_MISSED
from services.worker.ports import (
    Claim,
    ClaimedTrial,
    FinishAnswers,
    FinishOutcome,
    Order,
    OrderKind,
    ReportAnswer,
    RunSpec,
    Session,
    StepReport,
    TrialBatch,
)
from tuning.v1 import task_messages_pb2
from tuning.v1 import trial_service_pb2 as pb
from tuning.v1.trial_service_pb2_grpc import TrialServiceStub

AnswerT = TypeVar("AnswerT")

_PEER = "the store"
_CALL_SECONDS = 10.0
_BEAT_SECONDS = 5.0
_DOWNLOAD_SECONDS = 600.0

_OUTCOMES = {
    pb.FINISH_OUTCOME_DONE: FinishOutcome.DONE,
    pb.FINISH_OUTCOME_DUPLICATE: FinishOutcome.DUPLICATE,
    pb.FINISH_OUTCOME_FENCED: FinishOutcome.FENCED,
}
_ORDERS = {pb.ORDER_KIND_CANCEL: OrderKind.CANCEL, pb.ORDER_KIND_PRUNE: OrderKind.PRUNE}


class GrpcTrialStore:
    """Calls the store's TrialService; every call has a deadline."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = TrialServiceStub(channel)

    async def register(self, *, worker_class: str, worker_name: str, slots: int) -> Session:
        """Opens a session."""
        request = pb.RegisterSessionRequest(
            worker_class=worker_class, worker_name=worker_name, slots=slots
        )
        answer = await _call(self._stub.RegisterSession(request, timeout=_CALL_SECONDS))
        return Session(
            session_id=answer.session_id,
            lease_seconds=answer.lease.ToNanoseconds() / 1e9,
            beat_seconds=answer.beat_interval.ToNanoseconds() / 1e9,
        )

    async def heartbeat(
        self, session_id: str, *, held: Sequence[TrialKey], free_slots: int
    ) -> Sequence[Order]:
        """Renews the lease."""
        request = pb.HeartbeatRequest(
            session_id=session_id,
            held=[trial_key_to_proto(each) for each in held],
            free_slots=free_slots,
        )
        try:
            answer = await _call(self._stub.Heartbeat(request, timeout=_BEAT_SECONDS))
        except Unavailable:
            BEATS_MISSED.inc()
            raise
        return _orders(answer.orders)

    async def listen(self, session_id: str) -> AsyncIterator[Sequence[Order]]:
        """Streams orders; ends quietly when the store ends the stream."""
        try:
            # No deadline on purpose: keepalive finds a dead peer, and beats go on beside it.
            async for answer in self._stub.ListenSession(
                pb.ListenSessionRequest(session_id=session_id)
            ):
                yield _orders(answer.orders)
        except AioRpcError as error:
            raise from_rpc_error(error, peer=_PEER) from error

    async def close_session(self, session_id: str) -> None:
        """Ends the session."""
        request = pb.CloseSessionRequest(session_id=session_id)
        await _call(self._stub.CloseSession(request, timeout=_CALL_SECONDS))

    async def evaluation_spec(self, tuning_run_id: str) -> RunSpec:
        """Gives a tuning run's evaluation."""
        request = pb.GetEvaluationSpecRequest(tuning_run_id=tuning_run_id)
        answer = await _call(self._stub.GetEvaluationSpec(request, timeout=_CALL_SECONDS))
        return RunSpec(
            evaluation=evaluation_from_proto(answer.spec),
            pruning=pruning_from_proto(answer.pruning) if answer.HasField("pruning") else None,
        )

    async def claim(self, session_id: str, claim_id: str, batch: TrialBatch) -> Claim:
        """Claims trials."""
        request = pb.ClaimTrialsRequest(
            session_id=session_id,
            claim_id=claim_id,
            orchestration_id=batch.orchestration_id,
            tuning_run_id=batch.tuning_run_id,
            trials=[
                task_messages_pb2.TrialReference(number=each.number, attempt=each.attempt)
                for each in batch.trials
            ],
        )
        answer = await _call(self._stub.ClaimTrials(request, timeout=_CALL_SECONDS))
        return Claim(
            trials=tuple(
                ClaimedTrial(
                    key=TrialKey(
                        orchestration_id=batch.orchestration_id,
                        number=each.number,
                        attempt=each.attempt,
                    ),
                    parameters=assignment_from_proto(each.parameters),
                    candidate_index=(
                        each.candidate_index if each.HasField("candidate_index") else None
                    ),
                )
                for each in answer.trials
            ),
            later=len(answer.later_numbers),
            stale=len(answer.stale_numbers),
            threshold=(
                threshold_from_proto(answer.threshold) if answer.HasField("threshold") else None
            ),
        )

    async def return_trials(self, session_id: str, trials: Sequence[TrialKey]) -> None:
        """Gives claimed trials up."""
        request = pb.ReturnTrialsRequest(
            session_id=session_id, trials=[trial_key_to_proto(each) for each in trials]
        )
        await _call(self._stub.ReturnTrials(request, timeout=_CALL_SECONDS))

    async def decline_trials(self, session_id: str, trials: Sequence[TrialKey]) -> None:
        """Hands dispatched trials back that were not claimed."""
        request = pb.ReturnTrialsRequest(
            session_id=session_id, unclaimed=[trial_key_to_proto(each) for each in trials]
        )
        await _call(self._stub.ReturnTrials(request, timeout=_CALL_SECONDS))

    async def report_steps(self, session_id: str, steps: Sequence[StepReport]) -> ReportAnswer:
        """Reports steps."""
        request = pb.ReportStepsRequest(
            session_id=session_id,
            steps=[
                pb.StepReport(
                    trial=trial_key_to_proto(each.trial),
                    kind=step_kind_to_proto(each.score.kind),
                    step=each.score.step,
                    value=each.score.value,
                )
                for each in steps
            ],
        )
        answer = await _call(self._stub.ReportSteps(request, timeout=_CALL_SECONDS))
        stops = {
            trial_key_from_proto(each.trial): decision_from_proto(each.decision)
            for each in answer.stopped
        }
        return ReportAnswer(
            orders=tuple(_orders(answer.orders)),
            stops={key: stop for key, stop in stops.items() if stop is not None},
            thresholds={
                each.tuning_run_id: threshold_from_proto(each) for each in answer.thresholds
            },
        )

    async def finish(self, session_id: str, results: Sequence[TrialResult]) -> FinishAnswers:
        """Ends trials."""
        request = pb.FinishTrialsRequest(
            session_id=session_id, results=[trial_result_to_proto(each) for each in results]
        )
        answer = await _call(self._stub.FinishTrials(request, timeout=_CALL_SECONDS))
        # An outcome this version does not know is final all the same: every one of them is.
        return FinishAnswers(
            outcomes=tuple(
                _OUTCOMES.get(each.outcome, FinishOutcome.FENCED) for each in answer.answers
            ),
            thresholds={
                each.tuning_run_id: threshold_from_proto(each) for each in answer.thresholds
            },
        )

    async def download(self, dataset_id: str) -> AsyncIterator[bytes]:
        """Streams a dataset's stored bytes."""
        request = pb.DownloadDatasetRequest(dataset_id=dataset_id)
        try:
            async for answer in self._stub.DownloadDataset(request, timeout=_DOWNLOAD_SECONDS):
                yield answer.chunk
        except AioRpcError as error:
            raise from_rpc_error(error, peer=_PEER) from error


async def _call(answer: Awaitable[AnswerT]) -> AnswerT:
    try:
        return await answer
    except AioRpcError as error:
        raise from_rpc_error(error, peer=_PEER) from error


def _orders(messages: Sequence[pb.Order]) -> list[Order]:
    """Decodes orders; kinds this version does not know are left alone."""
    return [
        Order(kind=_ORDERS[each.kind], trial=trial_key_from_proto(each.trial))
        for each in messages
        if each.kind in _ORDERS
    ]

"""TrialService over gRPC, for workers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import structlog
from google.protobuf.duration_pb2 import Duration

from services.common.convert.objectives import evaluation_to_proto
from services.common.convert.pruning import (
    decision_to_proto,
    pruning_to_proto,
    step_kind_from_proto,
    threshold_to_proto,
)
from services.common.convert.trials import (
    trial_key_from_proto,
    trial_key_to_proto,
    trial_result_from_proto,
)
from services.core.errors import FieldViolation, InvalidRequest, Unavailable
from services.core.pruning import Threshold
from services.store.adapters import metrics
from services.store.adapters.grpc_servicer.requests import TENANT, decoded
from services.store.ports.results import Batch, FinishOutcome, Order, OrderKind, StepReport
from services.store.service.claims import Claims
from services.store.service.datasets import Datasets
from services.store.service.hand_out import HandOuts
from services.store.service.identifiers import canonical_id, id_or_none
from services.store.service.orders import OrderBoard
from services.store.service.requeue import Requeueing
from services.store.service.results import Results
from services.store.service.runs import Runs
from services.store.service.sessions import Sessions
from services.store.service.steps import Steps
from tuning.v1 import search_space_pb2, trial_pb2, trial_service_pb2_grpc
from tuning.v1 import trial_service_pb2 as pb

logger = structlog.get_logger()

_OUTCOMES = {
    FinishOutcome.DONE: pb.FINISH_OUTCOME_DONE,
    FinishOutcome.DUPLICATE: pb.FINISH_OUTCOME_DUPLICATE,
    FinishOutcome.FENCED: pb.FINISH_OUTCOME_FENCED,
}
_ORDERS = {OrderKind.CANCEL: pb.ORDER_KIND_CANCEL, OrderKind.PRUNE: pb.ORDER_KIND_PRUNE}
# More trials than this in one call are more than a batch ever holds.
_MAX_BATCH = 10_000
_KEPT_SPECS = 1_000


class TrialServicer(trial_service_pb2_grpc.TrialServiceServicer):
    """Hands trials to workers and takes their results.

    Args:
        is_draining: whether the store stops, so that streams break for no fault of the worker's.
    """

    def __init__(
        self,
        *,
        sessions: Sessions,
        orders: OrderBoard,
        claims: Claims,
        results: Results,
        steps: Steps,
        requeueing: Requeueing,
        hand_outs: HandOuts,
        runs: Runs,
        datasets: Datasets,
        is_draining: Callable[[], bool],
    ) -> None:
        self._sessions = sessions
        self._orders = orders
        self._claims = claims
        self._results = results
        self._steps = steps
        self._requeueing = requeueing
        self._hand_outs = hand_outs
        self._runs = runs
        self._datasets = datasets
        self._is_draining = is_draining
        self._specs: dict[str, pb.GetEvaluationSpecResponse] = {}
        self._background: set[asyncio.Task[None]] = set()

    async def RegisterSession(
        self, request: pb.RegisterSessionRequest, context: Any
    ) -> pb.RegisterSessionResponse:
        """Opens a session."""
        session = await self._sessions.register(
            worker_class=request.worker_class or "default",
            worker_name=request.worker_name,
            slots=request.slots,
        )
        return pb.RegisterSessionResponse(
            session_id=session.session_id,
            lease=_duration(session.lease_seconds),
            beat_interval=_duration(session.beat_seconds),
        )

    async def Heartbeat(self, request: pb.HeartbeatRequest, context: Any) -> pb.HeartbeatResponse:
        """Renews a session's lease."""
        orders = await self._sessions.beat(
            request.session_id,
            held=[trial_key_from_proto(each) for each in request.held],
            free_slots=request.free_slots,
        )
        return pb.HeartbeatResponse(orders=_orders_to_proto(orders))

    async def ListenSession(
        self, request: pb.ListenSessionRequest, context: Any
    ) -> AsyncIterator[pb.ListenSessionResponse]:
        """Streams orders to a worker as they arise."""
        session_id = canonical_id("session", request.session_id)
        listener_id = await self._sessions.open_stream(session_id)
        ended = False
        try:
            # An empty message first: the worker knows that it is heard.
            yield pb.ListenSessionResponse()
            async with aclosing(self._orders.listen(session_id)) as batches:
                async for orders in batches:
                    yield pb.ListenSessionResponse(orders=_orders_to_proto(orders))
            ended = True
        finally:
            if not ended and not self._is_draining():
                self._spawn_shortening(session_id, listener_id)
        if self._is_draining():
            raise Unavailable("this store is stopping; listen again", reason="DRAINING")

    def _spawn_shortening(self, session_id: str, listener_id: str) -> None:
        """Shortens the lease after the stream is gone: its own task has been cancelled."""

        async def shorten() -> None:
            try:
                await self._sessions.stream_broke(session_id, listener_id)
            except Unavailable as error:
                logger.warning("lease not shortened", session_id=session_id, reason=error.reason)

        task = asyncio.get_running_loop().create_task(shorten())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def settle_background(self) -> None:
        """Waits for what streams left to do."""
        await asyncio.gather(*self._background)

    async def CloseSession(
        self, request: pb.CloseSessionRequest, context: Any
    ) -> pb.CloseSessionResponse:
        """Ends a session."""
        await self._sessions.close(request.session_id)
        return pb.CloseSessionResponse()

    async def GetEvaluationSpec(
        self, request: pb.GetEvaluationSpecRequest, context: Any
    ) -> pb.GetEvaluationSpecResponse:
        """Gives what all trials of a tuning run have in common."""
        spec = self._specs.get(request.tuning_run_id)
        if spec is None:
            run = await self._runs.evaluation(request.tuning_run_id)
            spec = pb.GetEvaluationSpecResponse(
                spec=evaluation_to_proto(run.evaluation), pruning=pruning_to_proto(run.pruning)
            )
            if len(self._specs) >= _KEPT_SPECS:
                self._specs.clear()
            self._specs[request.tuning_run_id] = spec
        return spec

    async def ClaimTrials(
        self, request: pb.ClaimTrialsRequest, context: Any
    ) -> pb.ClaimTrialsResponse:
        """Claims trials for a session."""
        _check_size("trials", len(request.trials))
        if id_or_none(request.claim_id) is None:
            raise InvalidRequest(
                [FieldViolation(field="claim_id", description=f"{request.claim_id!r} is no UUID")]
            )
        claimed = await self._claims.claim(
            session_id=request.session_id,
            claim_id=request.claim_id,
            orchestration_id=request.orchestration_id,
            tuning_run_id=request.tuning_run_id,
            trials=[(each.number, each.attempt) for each in request.trials],
        )
        for answer, count in (
            ("taken", len(claimed.trials)),
            ("later", len(claimed.later)),
            ("stale", len(claimed.stale)),
        ):
            metrics.CLAIMS.labels(answer=answer).inc(count)
        return pb.ClaimTrialsResponse(
            trials=[
                pb.ClaimedTrial(
                    number=each.number,
                    attempt=each.attempt,
                    parameters=search_space_pb2.Assignment.FromString(each.parameters),
                    candidate_index=each.candidate_index,
                )
                for each in claimed.trials
            ],
            threshold=(
                None
                if claimed.threshold is None
                else threshold_to_proto(claimed.threshold, request.tuning_run_id)
            ),
            later_numbers=claimed.later,
            stale_numbers=claimed.stale,
        )

    async def ReturnTrials(
        self, request: pb.ReturnTrialsRequest, context: Any
    ) -> pb.ReturnTrialsResponse:
        """Takes trials back."""
        _check_size("trials", len(request.trials) + len(request.unclaimed))
        await self._requeueing.handed_back(
            canonical_id("session", request.session_id),
            [trial_key_from_proto(each) for each in request.trials],
        )
        await self._hand_outs.recall(
            [
                Batch(
                    orchestration_id=each.orchestration_id,
                    tuning_run_id="",
                    trials=((each.number, each.attempt),),
                )
                for each in request.unclaimed
            ]
        )
        metrics.RETURNED.labels(kind="claimed").inc(len(request.trials))
        metrics.RETURNED.labels(kind="unclaimed").inc(len(request.unclaimed))
        return pb.ReturnTrialsResponse()

    async def ReportFolds(
        self, request: pb.ReportFoldsRequest, context: Any
    ) -> pb.ReportFoldsResponse:
        """Takes scored folds of running trials from workers that know of no other steps."""
        _check_size("folds", len(request.folds))
        reported = await self._steps.report(
            request.session_id,
            [
                StepReport(
                    trial=trial_key_from_proto(each.trial), step=each.split + 1, value=each.score
                )
                for each in request.folds
            ],
        )
        return pb.ReportFoldsResponse(orders=_orders_to_proto(reported.orders))

    async def ReportSteps(
        self, request: pb.ReportStepsRequest, context: Any
    ) -> pb.ReportStepsResponse:
        """Takes steps of running trials."""
        _check_size("steps", len(request.steps))
        reported = await self._steps.report(
            request.session_id,
            [
                decoded(f"steps[{place}].kind", _step_from_proto, each)
                for place, each in enumerate(request.steps)
            ],
        )
        return pb.ReportStepsResponse(
            orders=_orders_to_proto(reported.orders),
            stopped=[
                pb.StoppedTrial(trial=trial_key_to_proto(key), decision=decision_to_proto(decision))
                for key, decision in reported.stops.items()
            ],
            thresholds=_thresholds_to_proto(reported.thresholds),
        )

    async def FinishTrials(
        self, request: pb.FinishTrialsRequest, context: Any
    ) -> pb.FinishTrialsResponse:
        """Ends trials."""
        _check_size("results", len(request.results))
        finished = await self._results.finish(
            request.session_id,
            [
                decoded(f"results[{place}].state", trial_result_from_proto, each)
                for place, each in enumerate(request.results)
            ],
        )
        for outcome, count in Counter(finished.outcomes).items():
            metrics.RESULTS.labels(answer=outcome.value).inc(count)
        return pb.FinishTrialsResponse(
            answers=[
                pb.FinishAnswer(trial=each.trial, outcome=_OUTCOMES[outcome])
                for each, outcome in zip(request.results, finished.outcomes, strict=True)
            ],
            thresholds=_thresholds_to_proto(finished.thresholds),
        )

    async def DownloadDataset(
        self, request: pb.DownloadDatasetRequest, context: Any
    ) -> AsyncIterator[pb.DownloadDatasetResponse]:
        """Streams a dataset's stored bytes."""
        async with aclosing(self._datasets.chunks(request.dataset_id, tenant=TENANT)) as chunks:
            async for chunk in chunks:
                yield pb.DownloadDatasetResponse(chunk=chunk)


def _step_from_proto(message: pb.StepReport) -> StepReport:
    """Decodes a step. Raises: ValueError: its kind is unknown."""
    return StepReport(
        trial=trial_key_from_proto(message.trial),
        step=message.step,
        value=message.value,
        kind=step_kind_from_proto(message.kind),
    )


def _thresholds_to_proto(thresholds: Mapping[str, Threshold]) -> list[trial_pb2.PruningThreshold]:
    return [
        threshold_to_proto(threshold, tuning_run_id)
        for tuning_run_id, threshold in thresholds.items()
    ]


def _orders_to_proto(orders: Sequence[Order]) -> list[pb.Order]:
    return [
        pb.Order(kind=_ORDERS[each.kind], trial=trial_key_to_proto(each.trial)) for each in orders
    ]


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def _check_size(field: str, count: int) -> None:
    if count > _MAX_BATCH:
        raise InvalidRequest(
            [
                FieldViolation(
                    field=field,
                    description=f"has {count} entries, at most {_MAX_BATCH} are allowed",
                )
            ]
        )

"""The store over gRPC: its public and its internal address behind the coordinator's ports."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

import grpc
from grpc.aio import AioRpcError

from services.common.convert.events import event_from_proto
from services.common.convert.plans import plan_to_proto, request_key_to_proto
from services.common.convert.runs import lifecycle_state_to_proto, orchestration_from_proto
from services.common.convert.spaces import refinement_to_proto
from services.common.convert.trials import (
    new_trial_to_proto,
    trial_from_proto,
    trial_state_to_proto,
)
from services.common.rpc.status import from_rpc_error
from services.common.watch_gaps import WatchGaps
from services.coordinator.adapters import metrics
from services.coordinator.adapters.batches import batch_from_proto, batch_to_proto
from services.coordinator.adapters.nouns import dataset_from_proto, model_run_from_proto
from services.coordinator.ports import (
    Closing,
    CreatedTrials,
    Dataset,
    Extension,
    HandedOut,
    HandOut,
    ModelRun,
    SearcherLease,
    TrialBatch,
    WorkerClassStatus,
)
from services.core.errors import CursorOutOfRange, Unavailable
from services.core.event import Event
from services.core.plan import Plan, RequestKey
from services.core.run import Orchestration
from services.core.trial import NewTrial, Trial, TrialState
from tuning.v1 import (
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    plan_service_pb2,
    plan_service_pb2_grpc,
    run_service_pb2,
    run_service_pb2_grpc,
)

_PEER = "the store"
_DEADLINE_SECONDS = 15.0
_PAGE_SIZE = 1000
# Short outages (a store that restarts behind a balancer) are waited out here; longer ones by the loops.
_RETRY_DELAYS_SECONDS = (0.1, 0.4, 1.0)
# Bookmarks come every ten seconds: a watch silent for longer is dead, whatever the connection says.
_WATCH_SILENCE_SECONDS = 35.0
_KEPT_EPOCHS = 10_000


class StoreClient:
    """Implements RequestStore, SearchStore and DispatchStore.

    Args:
        public: channel to the store's public address.
        internal: channel to the store's internal address.
    """

    def __init__(self, *, public: grpc.aio.Channel, internal: grpc.aio.Channel) -> None:
        # The stubs' types are those of sync channels; with an aio channel the calls are awaitable.
        self._plans: Any = plan_service_pb2_grpc.PlanServiceStub(internal)
        self._runs: Any = run_service_pb2_grpc.RunServiceStub(public)
        # Inside, watches have places of their own, which clients cannot take.
        self._watches: Any = run_service_pb2_grpc.RunServiceStub(internal)
        # Of the logs that were watched lately: a watch that broke is taken up in the same one.
        self._epochs: OrderedDict[str, str] = OrderedDict()
        self._gaps = WatchGaps("coordinator")
        self._models: Any = model_service_pb2_grpc.ModelServiceStub(public)
        self._datasets: Any = dataset_service_pb2_grpc.DatasetServiceStub(public)

    # --- Requests ---------------------------------------------------------------------------------

    async def find_request(self, key: RequestKey) -> Orchestration | None:
        """As in RequestStore."""
        request = plan_service_pb2.FindRequestRequest(key=request_key_to_proto(key))
        response = await _call(self._plans.FindRequest, request)
        if not response.HasField("orchestration"):
            return None
        return orchestration_from_proto(response.orchestration)

    async def get_model_run(self, model_run_id: str) -> ModelRun:
        """As in RequestStore."""
        request = model_service_pb2.GetModelRunRequest(model_run_id=model_run_id)
        return model_run_from_proto((await _call(self._models.GetModelRun, request)).model_run)

    async def get_dataset(self, dataset_id: str) -> Dataset:
        """As in RequestStore."""
        request = dataset_service_pb2.GetDatasetRequest(dataset_id=dataset_id)
        return dataset_from_proto((await _call(self._datasets.GetDataset, request)).dataset)

    async def create_orchestration(
        self, plan: Plan, *, key: RequestKey | None, spec_hash: bytes
    ) -> Orchestration:
        """As in RequestStore; repeated after a lost answer only when `key` makes that safe."""
        request = plan_to_proto(plan, key, spec_hash)
        send = _call if key is not None else _call_once
        response = await send(self._plans.CreateOrchestration, request)
        return orchestration_from_proto(response.orchestration)

    async def extend(self, extension: Extension, *, key: RequestKey) -> Orchestration:
        """As in RequestStore."""
        request = plan_service_pb2.ExtendPlanRequest(
            key=request_key_to_proto(key),
            orchestration_id=extension.orchestration_id,
            additional_trials=extension.trials,
            additional_failed_trials=extension.failed_trials,
            additional_seconds=extension.seconds,
            additional_cost=extension.cost,
        )
        response = await _call(self._plans.ExtendPlan, request)
        return orchestration_from_proto(response.orchestration)

    async def get_orchestration(self, orchestration_id: str) -> Orchestration:
        """As in RequestStore."""
        request = run_service_pb2.GetOrchestrationRequest(orchestration_id=orchestration_id)
        response = await _call(self._runs.GetOrchestration, request)
        return orchestration_from_proto(response.orchestration)

    async def pause(self, orchestration_id: str) -> Orchestration:
        """As in RequestStore."""
        return await self._change(orchestration_id, plan_service_pb2.ORCHESTRATION_CHANGE_PAUSE)

    async def resume(self, orchestration_id: str) -> Orchestration:
        """As in RequestStore."""
        return await self._change(orchestration_id, plan_service_pb2.ORCHESTRATION_CHANGE_RESUME)

    async def cancel(self, orchestration_id: str) -> Orchestration:
        """As in RequestStore."""
        return await self._change(orchestration_id, plan_service_pb2.ORCHESTRATION_CHANGE_CANCEL)

    async def _change(
        self, orchestration_id: str, change: plan_service_pb2.OrchestrationChange.ValueType
    ) -> Orchestration:
        request = plan_service_pb2.ChangeOrchestrationRequest(
            orchestration_id=orchestration_id, change=change
        )
        response = await _call(self._plans.ChangeOrchestration, request)
        return orchestration_from_proto(response.orchestration)

    # --- Reading ----------------------------------------------------------------------------------

    async def list_trials(
        self, tuning_run_id: str, *, states: Sequence[TrialState] = (), limit: int | None = None
    ) -> list[Trial]:
        """As in TrialReader."""
        trials: list[Trial] = []
        token = ""
        while True:
            wanted = _PAGE_SIZE if limit is None else min(_PAGE_SIZE, limit - len(trials))
            request = run_service_pb2.ListTrialsRequest(
                tuning_run_id=tuning_run_id,
                states=[trial_state_to_proto(each) for each in states],
                order_by=run_service_pb2.TRIAL_ORDER_NUMBER,
                page_size=wanted,
                page_token=token,
            )
            page = await _call(self._runs.ListTrials, request)
            for message in page.trials:
                # A searcher learns from the objective; scores by other metrics would only fill memory.
                del message.metrics[1:]
                trials.append(trial_from_proto(message))
            token = page.next_page_token
            if not token or (limit is not None and len(trials) >= limit):
                return trials

    async def watch(
        self, orchestration_id: str, *, after_sequence: int
    ) -> AsyncIterator[Sequence[Event]]:
        """As in TrialReader."""
        request = run_service_pb2.WatchOrchestrationRequest(
            orchestration_id=orchestration_id,
            after_sequence=after_sequence,
            epoch=self._epochs.get(orchestration_id),
        )
        cursor = after_sequence
        async with aclosing(self._responses(request)) as responses:
            async for response in responses:
                kind = response.WhichOneof("content")
                if kind is not None and getattr(response, kind).epoch:
                    self._remember_epoch(orchestration_id, getattr(response, kind).epoch)
                if kind != "events" or not response.events.events:
                    continue
                events = [event_from_proto(each) for each in response.events.events]
                for event in events:
                    if event.sequence != cursor + 1:
                        self._gaps.gap_found()
                        raise CursorOutOfRange(
                            f"the log of orchestration {orchestration_id} has event {event.sequence}"
                            f" after event {cursor}",
                            reason="WATCH_GAP",
                        )
                    cursor = event.sequence
                yield events

    def _remember_epoch(self, orchestration_id: str, epoch: str) -> None:
        self._epochs[orchestration_id] = epoch
        self._epochs.move_to_end(orchestration_id)
        while len(self._epochs) > _KEPT_EPOCHS:
            self._epochs.popitem(last=False)

    async def _responses(self, request: Any) -> Any:
        call = self._watches.WatchOrchestration(request)
        try:
            while True:
                async with asyncio.timeout(_WATCH_SILENCE_SECONDS):
                    response = await call.read()
                if response is grpc.aio.EOF:  # type: ignore[attr-defined]  # missing in the stubs
                    return
                yield response
        except AioRpcError as error:
            told = from_rpc_error(error, peer=_PEER)
            if told.reason == "EPOCH_CHANGED":
                # Whatever was built on this log is void, as with a cursor that leads nowhere.
                self._epochs.pop(request.orchestration_id, None)
                raise CursorOutOfRange(
                    told.message, reason=told.reason, metadata=told.metadata
                ) from error
            raise told from error
        except TimeoutError as error:
            raise Unavailable("the watch fell silent", reason="NO_ANSWER") from error
        finally:
            call.cancel()

    # --- Searching --------------------------------------------------------------------------------

    async def acquire_searchers(
        self, coordinator_id: str, *, held: Sequence[str], max_new: int
    ) -> list[SearcherLease]:
        """As in SearchStore."""
        request = plan_service_pb2.AcquireSearchersRequest(
            coordinator_id=coordinator_id, held_tuning_run_ids=held, max_new=max_new
        )
        # A renewal that is late is worth nothing: the next one comes in three seconds.
        response = await _call_once(self._plans.AcquireSearchers, request, seconds=5.0)
        metrics.LEASES.set(len(response.leases))
        return [
            SearcherLease(
                tuning_run_id=each.tuning_run_id,
                orchestration_id=each.orchestration_id,
                epoch=each.epoch,
            )
            for each in response.leases
        ]

    async def release_searchers(self, coordinator_id: str, tuning_run_ids: Sequence[str]) -> None:
        """As in SearchStore."""
        request = plan_service_pb2.ReleaseSearchersRequest(
            coordinator_id=coordinator_id, tuning_run_ids=tuning_run_ids
        )
        await _call(self._plans.ReleaseSearchers, request)
        metrics.LEASES.set(0)

    async def create_trials(
        self, tuning_run_id: str, *, epoch: int, trials: Sequence[NewTrial]
    ) -> CreatedTrials:
        """As in SearchStore."""
        request = plan_service_pb2.CreateTrialsRequest(
            tuning_run_id=tuning_run_id,
            epoch=epoch,
            trials=[new_trial_to_proto(each) for each in trials],
        )
        response = await _call(self._plans.CreateTrials, request)
        return CreatedTrials(
            first_number=response.first_number,
            created=response.created,
            remaining=response.remaining if response.HasField("remaining") else None,
        )

    async def add_notice(
        self, tuning_run_id: str, *, epoch: int, reason: str, message: str, method_used: str
    ) -> None:
        """As in SearchStore."""
        request = plan_service_pb2.AddNoticeRequest(
            tuning_run_id=tuning_run_id,
            epoch=epoch,
            reason=reason,
            message=message,
            method_used=method_used,
        )
        await _call(self._plans.AddNotice, request)

    async def close_tuning_run(self, closing: Closing) -> Orchestration:
        """As in RunCloser."""
        refinement = closing.refinement
        request = plan_service_pb2.CloseTuningRunRequest(
            tuning_run_id=closing.tuning_run_id,
            epoch=closing.epoch,
            as_of_sequence=closing.as_of_sequence,
            state=lifecycle_state_to_proto(closing.state),
            reason=closing.reason,
            message=closing.message,
            refinement=None if refinement is None else refinement_to_proto(refinement),
            next_planned_trials=closing.next_planned_trials,
            next_total_combinations=closing.next_total_combinations,
        )
        response = await _call(self._plans.CloseTuningRun, request)
        return orchestration_from_proto(response.orchestration)

    # --- Dispatching ------------------------------------------------------------------------------

    async def hand_out_trials(self, coordinator_id: str) -> HandedOut:
        """As in DispatchStore."""
        request = plan_service_pb2.HandOutTrialsRequest(coordinator_id=coordinator_id)
        with metrics.HAND_OUT_SECONDS.time():
            response = await _call_once(self._plans.HandOutTrials, request)
        return HandedOut(
            hand_outs=tuple(
                HandOut(worker_class=each.worker_class, batch=batch_from_proto(each.batch))
                for each in response.hand_outs
            ),
            worker_classes=tuple(
                WorkerClassStatus(
                    worker_class=each.worker_class,
                    live_workers=each.live_workers,
                    slots=each.slots,
                    outstanding=each.outstanding,
                )
                for each in response.worker_classes
            ),
        )

    async def recall_trials(self, batches: Sequence[TrialBatch]) -> int:
        """As in DispatchStore."""
        if not batches:
            return 0
        request = plan_service_pb2.RecallTrialsRequest(
            batches=[batch_to_proto(each) for each in batches]
        )
        recalled: int = (await _call(self._plans.RecallTrials, request)).recalled
        metrics.RECALLED.inc(recalled)
        return recalled

    async def recall_all_trials(
        self, *, dispatched_for_seconds: float = 0.0, worker_class: str = ""
    ) -> int:
        """As in DispatchStore."""
        request = plan_service_pb2.RecallTrialsRequest(worker_class=worker_class)
        request.dispatched_for.FromNanoseconds(round(dispatched_for_seconds * 1e9))
        recalled: int = (await _call(self._plans.RecallTrials, request)).recalled
        metrics.RECALLED.inc(recalled)
        return recalled


async def _call_once(
    method: Callable[..., Awaitable[Any]], request: Any, *, seconds: float = _DEADLINE_SECONDS
) -> Any:
    try:
        return await method(request, timeout=seconds)
    except AioRpcError as error:
        raise from_rpc_error(error, peer=_PEER) from error


async def _call(method: Callable[..., Awaitable[Any]], request: Any) -> Any:
    """Calls a method that may be repeated, a few times while the store is away."""
    for delay in _RETRY_DELAYS_SECONDS:
        try:
            return await _call_once(method, request)
        except Unavailable:
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 (jitter, no secret)
    return await _call_once(method, request)

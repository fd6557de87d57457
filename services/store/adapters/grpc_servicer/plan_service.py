"""PlanService over gRPC, for coordinators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.duration_pb2 import Duration

from services.common.convert.plans import plan_from_proto, request_key_from_proto
from services.common.convert.runs import lifecycle_state_from_proto, orchestration_to_proto
from services.common.convert.spaces import refinement_from_proto
from services.core.errors import FieldViolation, InvalidRequest
from services.store.adapters.grpc_servicer.requests import TENANT, decoded, optional
from services.store.ports.records import NewTrial
from services.store.ports.results import Batch
from services.store.service.creation import TrialCreation
from services.store.service.hand_out import HandOuts
from services.store.service.plans import Change, Closing, Extension, Plans
from services.store.service.searchers import Searchers
from tuning.v1 import plan_service_pb2 as pb
from tuning.v1 import plan_service_pb2_grpc, task_messages_pb2

_CHANGES = {
    pb.ORCHESTRATION_CHANGE_PAUSE: Change.PAUSE,
    pb.ORCHESTRATION_CHANGE_RESUME: Change.RESUME,
    pb.ORCHESTRATION_CHANGE_CANCEL: Change.CANCEL,
}
_BATCH_VERSION = 1


class PlanServicer(plan_service_pb2_grpc.PlanServiceServicer):
    """Keeps what coordinators decide."""

    def __init__(
        self,
        *,
        plans: Plans,
        searchers: Searchers,
        creation: TrialCreation,
        hand_outs: HandOuts,
    ) -> None:
        self._plans = plans
        self._searchers = searchers
        self._creation = creation
        self._hand_outs = hand_outs

    async def FindRequest(
        self, request: pb.FindRequestRequest, context: Any
    ) -> pb.FindRequestResponse:
        """Looks up an earlier request by its id."""
        key = request_key_from_proto(request.key)
        found = None if key is None else await self._plans.find_request(TENANT, key)
        return pb.FindRequestResponse(
            orchestration=None if found is None else orchestration_to_proto(found)
        )

    async def CreateOrchestration(
        self, request: pb.CreateOrchestrationRequest, context: Any
    ) -> pb.CreateOrchestrationResponse:
        """Creates an orchestration."""
        created = await self._plans.create(
            decoded("stages", plan_from_proto, request),
            tenant=TENANT,
            key=request_key_from_proto(request.key),
            spec_hash=request.spec_hash,
        )
        return pb.CreateOrchestrationResponse(orchestration=orchestration_to_proto(created))

    async def AcquireSearchers(
        self, request: pb.AcquireSearchersRequest, context: Any
    ) -> pb.AcquireSearchersResponse:
        """Takes or renews searcher leases."""
        leases = await self._searchers.acquire(
            request.coordinator_id, held=request.held_tuning_run_ids, max_new=request.max_new
        )
        duration = Duration()
        duration.FromNanoseconds(round(self._searchers.lease_seconds * 1e9))
        return pb.AcquireSearchersResponse(
            leases=[
                pb.SearcherLease(
                    tuning_run_id=each.tuning_run_id,
                    orchestration_id=each.orchestration_id,
                    epoch=each.epoch,
                )
                for each in leases
            ],
            lease=duration,
        )

    async def ReleaseSearchers(
        self, request: pb.ReleaseSearchersRequest, context: Any
    ) -> pb.ReleaseSearchersResponse:
        """Gives searcher leases back."""
        await self._searchers.release(request.coordinator_id, request.tuning_run_ids)
        return pb.ReleaseSearchersResponse()

    async def CreateTrials(
        self, request: pb.CreateTrialsRequest, context: Any
    ) -> pb.CreateTrialsResponse:
        """Creates queued trials within the tuning run's budget."""
        created = await self._creation.create(
            request.tuning_run_id,
            epoch=request.epoch,
            trials=[
                NewTrial(
                    parameters=each.parameters.SerializeToString(),
                    candidate_index=optional(each, "candidate_index"),
                    phase=each.phase,
                    suggestion_index=each.suggestion_index,
                    suggested_at_sequence=each.suggested_at_sequence,
                    copied_from=optional(each, "copied_from"),
                )
                for each in request.trials
            ],
        )
        return pb.CreateTrialsResponse(
            first_number=created.first_number,
            created=created.created,
            remaining=created.remaining,
        )

    async def HandOutTrials(
        self, request: pb.HandOutTrialsRequest, context: Any
    ) -> pb.HandOutTrialsResponse:
        """Picks queued trials for free workers."""
        handed_out = await self._hand_outs.hand_out()
        return pb.HandOutTrialsResponse(
            hand_outs=[
                pb.HandOut(worker_class=each.worker_class, batch=_batch_to_proto(each.batch))
                for each in handed_out.hand_outs
            ],
            worker_classes=[
                pb.WorkerClassStatus(
                    worker_class=each.worker_class,
                    live_workers=each.live_workers,
                    slots=each.slots,
                    outstanding=each.outstanding,
                )
                for each in handed_out.worker_classes
            ],
        )

    async def RecallTrials(
        self, request: pb.RecallTrialsRequest, context: Any
    ) -> pb.RecallTrialsResponse:
        """Makes dispatched trials that were not claimed available again."""
        if request.batches:
            recalled = await self._hand_outs.recall(_batches_of(request.batches))
        else:
            recalled = await self._hand_outs.recall_all(
                dispatched_for_seconds=request.dispatched_for.ToNanoseconds() / 1e9,
                worker_class=request.worker_class,
            )
        return pb.RecallTrialsResponse(recalled=recalled)

    async def CloseTuningRun(
        self, request: pb.CloseTuningRunRequest, context: Any
    ) -> pb.CloseTuningRunResponse:
        """Ends a tuning run and starts what comes next."""
        has_refinement = request.HasField("refinement")
        orchestration = await self._plans.close_tuning_run(
            Closing(
                tuning_run_id=request.tuning_run_id,
                epoch=optional(request, "epoch"),
                as_of_sequence=request.as_of_sequence,
                state=decoded("state", lifecycle_state_from_proto, request.state),
                reason=request.reason,
                message=request.message,
                refinement=(
                    decoded("refinement", refinement_from_proto, request.refinement)
                    if has_refinement
                    else None
                ),
                next_planned_trials=request.next_planned_trials,
                next_total_combinations=optional(request, "next_total_combinations"),
            )
        )
        return pb.CloseTuningRunResponse(orchestration=orchestration_to_proto(orchestration))

    async def AddNotice(self, request: pb.AddNoticeRequest, context: Any) -> pb.AddNoticeResponse:
        """Appends a notice to an orchestration's log."""
        await self._plans.add_notice(
            request.tuning_run_id,
            epoch=request.epoch,
            reason=request.reason,
            message=request.message,
            method_used=request.method_used,
        )
        return pb.AddNoticeResponse()

    async def ChangeOrchestration(
        self, request: pb.ChangeOrchestrationRequest, context: Any
    ) -> pb.ChangeOrchestrationResponse:
        """Moves an orchestration to another state."""
        change = _CHANGES.get(request.change)
        if change is None:
            raise InvalidRequest(
                [FieldViolation(field="change", description=f"{request.change} is no change")]
            )
        changed = await self._plans.change(request.orchestration_id, change)
        return pb.ChangeOrchestrationResponse(orchestration=orchestration_to_proto(changed))

    async def ExtendPlan(
        self, request: pb.ExtendPlanRequest, context: Any
    ) -> pb.ExtendPlanResponse:
        """Adds trials and to limits."""
        extended = await self._plans.extend(
            request.orchestration_id,
            Extension(
                trials=request.additional_trials,
                failed_trials=request.additional_failed_trials,
                seconds=request.additional_seconds,
                cost=request.additional_cost,
            ),
            tenant=TENANT,
            key=request_key_from_proto(request.key),
        )
        return pb.ExtendPlanResponse(orchestration=orchestration_to_proto(extended))


def _batch_to_proto(batch: Batch) -> task_messages_pb2.TrialBatch:
    return task_messages_pb2.TrialBatch(
        version=_BATCH_VERSION,
        orchestration_id=batch.orchestration_id,
        tuning_run_id=batch.tuning_run_id,
        trials=[
            task_messages_pb2.TrialReference(number=number, attempt=attempt)
            for number, attempt in batch.trials
        ],
        request_id=batch.request_id,
    )


def _batches_of(messages: Sequence[task_messages_pb2.TrialBatch]) -> list[Batch]:
    return [
        Batch(
            orchestration_id=each.orchestration_id,
            tuning_run_id=each.tuning_run_id,
            trials=tuple((trial.number, trial.attempt) for trial in each.trials),
        )
        for each in messages
    ]

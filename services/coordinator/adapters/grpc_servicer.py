"""The coordinator's gRPC services: reads requests, calls use cases, writes answers."""

from __future__ import annotations

from typing import Any

from services.common.convert.runs import orchestration_to_proto
from services.coordinator.adapters.crowds import refuse_crowds
from services.coordinator.adapters.request_identity import (
    read_extension_identity,
    read_identity,
)
from services.coordinator.adapters.request_reader import (
    read_comparison,
    read_cross_validation,
    read_extension,
    read_plan,
    read_progressive_search,
    read_tuning,
)
from services.coordinator.service.starting import Starting
from services.coordinator.service.steering import Steering
from tuning.v1 import (
    orchestration_service_pb2 as orchestration_pb,
)
from tuning.v1 import (
    orchestration_service_pb2_grpc,
    tuning_service_pb2_grpc,
)
from tuning.v1 import (
    tuning_service_pb2 as tuning_pb,
)


class OrchestrationServicer(orchestration_service_pb2_grpc.OrchestrationServiceServicer):
    """Starts and steers orchestrations."""

    def __init__(self, *, starting: Starting, steering: Steering) -> None:
        self._starting = starting
        self._steering = steering

    async def StartProgressiveSearch(
        self, request: orchestration_pb.StartProgressiveSearchRequest, _context: Any
    ) -> orchestration_pb.StartProgressiveSearchResponse:
        """Starts grid → random → bayesian for one model run."""
        refuse_crowds(request)
        started = await self._starting.progressive_search(
            read_progressive_search(request), read_identity("StartProgressiveSearch", request)
        )
        return orchestration_pb.StartProgressiveSearchResponse(
            orchestration=orchestration_to_proto(started)
        )

    async def StartMultiModelComparison(
        self, request: orchestration_pb.StartMultiModelComparisonRequest, _context: Any
    ) -> orchestration_pb.StartMultiModelComparisonResponse:
        """Starts a comparison of model runs."""
        refuse_crowds(request)
        started = await self._starting.comparison(
            read_comparison(request), read_identity("StartMultiModelComparison", request)
        )
        return orchestration_pb.StartMultiModelComparisonResponse(
            orchestration=orchestration_to_proto(started)
        )

    async def StartPlan(
        self, request: orchestration_pb.StartPlanRequest, _context: Any
    ) -> orchestration_pb.StartPlanResponse:
        """Starts a plan of stages."""
        refuse_crowds(request)
        started = await self._starting.plan(read_plan(request), read_identity("StartPlan", request))
        return orchestration_pb.StartPlanResponse(orchestration=orchestration_to_proto(started))

    async def TriggerNextStage(
        self, request: orchestration_pb.TriggerNextStageRequest, _context: Any
    ) -> orchestration_pb.TriggerNextStageResponse:
        """Ends the running stage now."""
        orchestration = await self._steering.trigger_next_stage(request.orchestration_id)
        return orchestration_pb.TriggerNextStageResponse(
            orchestration=orchestration_to_proto(orchestration)
        )

    async def PauseOrchestration(
        self, request: orchestration_pb.PauseOrchestrationRequest, _context: Any
    ) -> orchestration_pb.PauseOrchestrationResponse:
        """Pauses."""
        orchestration = await self._steering.pause(request.orchestration_id)
        return orchestration_pb.PauseOrchestrationResponse(
            orchestration=orchestration_to_proto(orchestration)
        )

    async def ResumeOrchestration(
        self, request: orchestration_pb.ResumeOrchestrationRequest, _context: Any
    ) -> orchestration_pb.ResumeOrchestrationResponse:
        """Goes on after a pause."""
        orchestration = await self._steering.resume(request.orchestration_id)
        return orchestration_pb.ResumeOrchestrationResponse(
            orchestration=orchestration_to_proto(orchestration)
        )

    async def CancelOrchestration(
        self, request: orchestration_pb.CancelOrchestrationRequest, _context: Any
    ) -> orchestration_pb.CancelOrchestrationResponse:
        """Ends it now."""
        orchestration = await self._steering.cancel(request.orchestration_id)
        return orchestration_pb.CancelOrchestrationResponse(
            orchestration=orchestration_to_proto(orchestration)
        )

    async def ExtendOrchestration(
        self, request: orchestration_pb.ExtendOrchestrationRequest, _context: Any
    ) -> orchestration_pb.ExtendOrchestrationResponse:
        """Adds trials and limits."""
        orchestration = await self._steering.extend(
            read_extension(request), read_extension_identity(request)
        )
        return orchestration_pb.ExtendOrchestrationResponse(
            orchestration=orchestration_to_proto(orchestration)
        )


class TuningServicer(tuning_service_pb2_grpc.TuningServiceServicer):
    """Starts single tuning runs and cross-validations."""

    def __init__(self, *, starting: Starting) -> None:
        self._starting = starting

    async def StartTuning(
        self, request: tuning_pb.StartTuningRequest, _context: Any
    ) -> tuning_pb.StartTuningResponse:
        """Tunes one model run by one method."""
        refuse_crowds(request)
        started = await self._starting.tuning(
            read_tuning(request), read_identity("StartTuning", request)
        )
        return tuning_pb.StartTuningResponse(orchestration=orchestration_to_proto(started))

    async def StartCrossValidation(
        self, request: tuning_pb.StartCrossValidationRequest, _context: Any
    ) -> tuning_pb.StartCrossValidationResponse:
        """Cross-validates one model run."""
        refuse_crowds(request)
        started = await self._starting.cross_validation(
            read_cross_validation(request), read_identity("StartCrossValidation", request)
        )
        return tuning_pb.StartCrossValidationResponse(orchestration=orchestration_to_proto(started))

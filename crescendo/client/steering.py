"""Steering orchestrations: more trials, pause, resume, the next stage, the end."""

from __future__ import annotations

import uuid

from crescendo.client import decoding
from crescendo.client.connection import Connection
from crescendo.client.model import Orchestration
from crescendo.client.requests import optional_fields
from tuning.v1 import orchestration_service_pb2 as orchestration_rpc


class Steering(Connection):
    """Steers orchestrations."""

    def extend(
        self,
        orchestration_id: str,
        *,
        trials: int | None = None,
        failed_trials: int | None = None,
        seconds: float | None = None,
        cost: float | None = None,
        request_id: str | None = None,
    ) -> Orchestration:
        """Adds exactly so much to what runs, is paused or has completed; it goes on with all it knows.

        Args:
            trials: for each tuning run of the last stage.
            failed_trials: to the budget's limit of that name, as `seconds` and `cost` are to theirs.
            request_id: asking again with the same UUID adds nothing.
        """
        request = orchestration_rpc.ExtendOrchestrationRequest(
            orchestration_id=orchestration_id,
            request_id=request_id or str(uuid.uuid4()),
            **optional_fields(
                additional_trials=trials,
                additional_failed_trials=failed_trials,
                additional_seconds=seconds,
                additional_cost=cost,
            ),
        )
        answer = self._coordinator.call(self._orchestrations.ExtendOrchestration, request)
        return decoding.orchestration(answer.orchestration)

    def cancel(self, orchestration_id: str) -> Orchestration:
        """Ends an orchestration now; its open trials are cancelled."""
        request = orchestration_rpc.CancelOrchestrationRequest(orchestration_id=orchestration_id)
        answer = self._coordinator.call(self._orchestrations.CancelOrchestration, request)
        return decoding.orchestration(answer.orchestration)

    def pause(self, orchestration_id: str) -> Orchestration:
        """Hands out no more trials until it is resumed; those that run are finished."""
        request = orchestration_rpc.PauseOrchestrationRequest(orchestration_id=orchestration_id)
        answer = self._coordinator.call(self._orchestrations.PauseOrchestration, request)
        return decoding.orchestration(answer.orchestration)

    def resume(self, orchestration_id: str) -> Orchestration:
        """Goes on after a pause."""
        request = orchestration_rpc.ResumeOrchestrationRequest(orchestration_id=orchestration_id)
        answer = self._coordinator.call(self._orchestrations.ResumeOrchestration, request)
        return decoding.orchestration(answer.orchestration)

    def trigger(self, orchestration_id: str) -> Orchestration:
        """Ends the running stage now and starts the next on what is known."""
        request = orchestration_rpc.TriggerNextStageRequest(orchestration_id=orchestration_id)
        answer = self._coordinator.call(self._orchestrations.TriggerNextStage, request)
        return decoding.orchestration(answer.orchestration)

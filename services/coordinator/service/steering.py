"""Steering what runs: the next stage by hand, pause, resume, cancel, extend."""

from __future__ import annotations

import structlog

from services.coordinator.ports import Extension, RequestStore, RunCloser
from services.coordinator.service.bell import Bell
from services.coordinator.service.checking import check_extension, check_identity
from services.coordinator.service.closing import RunEnd
from services.coordinator.service.requests import ExtensionRequest, RequestIdentity
from services.coordinator.service.starting import fresh_key, request_key
from services.core.errors import Conflict, Unavailable, WrongState
from services.core.plan import LifecycleState
from services.core.run import Orchestration, Stage
from services.core.violations import Violations

logger = structlog.get_logger()

# Each try reads the trials anew; that many ends of trials between a read and a write are no accident.
_MOST_TRIES = 100


class Steering:
    """What people do to orchestrations that run.

    Args:
        leases: rung when tuning runs may have begun.
        dispatch: rung when trials may be handed out again.
    """

    def __init__(
        self, *, store: RequestStore, closer: RunCloser, leases: Bell, dispatch: Bell
    ) -> None:
        self._store = store
        self._run_end = RunEnd(closer)
        self._leases = leases
        self._dispatch = dispatch

    async def pause(self, orchestration_id: str) -> Orchestration:
        """Stops handing out trials; idempotent. Raises: NotFound, WrongState."""
        return await self._store.pause(orchestration_id)

    async def resume(self, orchestration_id: str) -> Orchestration:
        """Goes on after a pause; idempotent. Raises: NotFound, WrongState."""
        orchestration = await self._store.resume(orchestration_id)
        self._ring()
        return orchestration

    async def cancel(self, orchestration_id: str) -> Orchestration:
        """Ends it now, its open trials CANCELLED; idempotent. Raises: NotFound, WrongState."""
        orchestration = await self._store.cancel(orchestration_id)
        self._ring()
        return orchestration

    async def extend(self, request: ExtensionRequest, identity: RequestIdentity) -> Orchestration:
        """Adds exactly so much to what runs, is paused or has completed; the same request adds it once.

        Raises: InvalidRequest, with every violation; NotFound; AlreadyExists: the request id was used
            for something else; WrongState: it failed or was cancelled.
        """
        key = request_key(identity)
        if key is not None:
            earlier = await self._store.find_request(key)
            if earlier is not None:
                return earlier
        found = Violations()
        check_identity(found, identity)
        check_extension(found, request)
        found.raise_if_any()
        orchestration = await self._store.extend(
            Extension(
                orchestration_id=request.orchestration_id,
                trials=request.additional_trials,
                failed_trials=request.additional_failed_trials,
                seconds=request.additional_seconds,
                cost=request.additional_cost,
            ),
            key=key or fresh_key(identity),
        )
        self._ring()
        return orchestration

    async def trigger_next_stage(self, orchestration_id: str) -> Orchestration:
        """Ends the running stage now; the next one starts on what is known, after the last the plan ends.

        Tuning runs of the stage without a success, and those still waiting their turn, end as FAILED.
        When the stage ends by itself meanwhile, its successor is what was asked for.

        Raises:
            NotFound: there is no such orchestration.
            WrongState: no stage runs, or none of its trials has succeeded yet.
        """
        orchestration = await self._store.get_orchestration(orchestration_id)
        stage = _running_stage(orchestration)
        index = stage.index
        for _ in range(_MOST_TRIES):
            stage = orchestration.stages[index]
            if stage.state is not LifecycleState.RUNNING:
                self._ring()
                return orchestration
            # The best first: a stage that holds a success when its last run ends is COMPLETED.
            run = max(
                (run for run in stage.tuning_runs if run.state is LifecycleState.RUNNING),
                key=lambda run: run.counts.succeeded,
            )
            try:
                orchestration = await self._run_end.close(
                    orchestration, run, epoch=None, reason="MANUAL"
                )
            except (Conflict, WrongState) as error:
                logger.info("trigger retried", orchestration_id=orchestration_id, cause=str(error))
                orchestration = await self._store.get_orchestration(orchestration_id)
        raise Unavailable(
            f"trials of orchestration {orchestration_id} end faster than its stage can be closed: "
            "pause it, wait for its running trials, resume it and try again",
            reason="TOO_BUSY",
        )

    def _ring(self) -> None:
        self._leases.ring()
        self._dispatch.ring()


def _running_stage(orchestration: Orchestration) -> Stage:
    metadata = {"orchestration_id": orchestration.orchestration_id}
    stage = next(
        (stage for stage in orchestration.stages if stage.state is LifecycleState.RUNNING), None
    )
    if stage is None:
        advice = (
            "resume it first"
            if orchestration.state is LifecycleState.PAUSED
            else "only a running one has a stage to end"
        )
        raise WrongState(
            f"orchestration {orchestration.orchestration_id} is "
            f"{orchestration.state.value}: {advice}",
            reason="NO_STAGE_RUNS",
            metadata=metadata | {"state": orchestration.state.value},
        )
    if stage.counts.succeeded == 0:
        raise WrongState(
            f"stage {stage.index + 1} ({stage.method}) of orchestration "
            f"{orchestration.orchestration_id} has no successful trial yet: the next stage would "
            "have nothing to start from; wait for the first one, or cancel",
            reason="NO_SUCCESS_YET",
            metadata=metadata | {"stage_index": str(stage.index)},
        )
    return stage

"""Starting orchestrations: look for the same request, plan, create."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

from services.coordinator.ports import RequestStore
from services.coordinator.service.bell import Bell
from services.coordinator.service.checking import canonical_uuid
from services.coordinator.service.planning import Planning
from services.coordinator.service.preview import preview, storable
from services.coordinator.service.requests import (
    ComparisonRequest,
    CrossValidationRequest,
    ProgressiveSearchRequest,
    RequestIdentity,
    TuningRequest,
)
from services.core.plan import Plan, RequestKey
from services.core.run import Orchestration


class Starting:
    """What people start.

    Args:
        leases: rung when an orchestration was created, so that its first trials do not wait for a poll.
        trial_timeout_seconds: ends every trial that runs longer; None for no limit.
    """

    def __init__(
        self, *, store: RequestStore, leases: Bell, trial_timeout_seconds: float | None
    ) -> None:
        self._store = store
        self._leases = leases
        self._planning = Planning(store=store, trial_timeout_seconds=trial_timeout_seconds)

    async def progressive_search(
        self, request: ProgressiveSearchRequest, identity: RequestIdentity
    ) -> Orchestration:
        """Starts grid → random → bayesian. Raises: InvalidRequest, NotFound, AlreadyExists."""
        return await self._start(
            identity, lambda: self._planning.progressive_search(request, identity)
        )

    async def comparison(
        self, request: ComparisonRequest, identity: RequestIdentity
    ) -> Orchestration:
        """Starts a comparison of models. Raises: InvalidRequest, NotFound, AlreadyExists."""
        return await self._start(identity, lambda: self._planning.comparison(request, identity))

    async def tuning(self, request: TuningRequest, identity: RequestIdentity) -> Orchestration:
        """Starts one tuning run. Raises: InvalidRequest, NotFound, AlreadyExists."""
        return await self._start(identity, lambda: self._planning.tuning(request, identity))

    async def cross_validation(
        self, request: CrossValidationRequest, identity: RequestIdentity
    ) -> Orchestration:
        """Starts a cross-validation. Raises: InvalidRequest, NotFound, AlreadyExists."""
        return await self._start(
            identity, lambda: self._planning.cross_validation(request, identity)
        )

    async def _start(
        self, identity: RequestIdentity, make_plan: Callable[[], Awaitable[Plan]]
    ) -> Orchestration:
        key = _key(identity)
        if key is not None and not identity.validate_only:
            earlier = await self._store.find_request(key)
            if earlier is not None:
                return earlier
        plan = storable(await make_plan())
        if identity.validate_only:
            return preview(plan)
        # A request without an id gets one, so that creating it can be repeated when the answer is lost.
        key = key or RequestKey(
            rpc=identity.rpc, request_id=str(uuid.uuid4()), body_hash=identity.body_hash
        )
        orchestration = await self._store.create_orchestration(
            plan, key=key, spec_hash=identity.spec_hash
        )
        self._leases.ring()
        return orchestration


def _key(identity: RequestIdentity) -> RequestKey | None:
    request_id = canonical_uuid(identity.request_id)
    if request_id is None:
        return None
    return RequestKey(rpc=identity.rpc, request_id=request_id, body_hash=identity.body_hash)

"""Starting orchestrations: look for the same request, plan, create."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

from services.coordinator.ports import RequestStore
from services.coordinator.service.bell import Bell
from services.coordinator.service.checking import canonical_uuid
from services.coordinator.service.planning import Planning
from services.coordinator.service.planning.describing import check_listed
from services.coordinator.service.preview import preview, storable
from services.coordinator.service.requests import (
    ComparisonRequest,
    CrossValidationRequest,
    PlanRequest,
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
        price_per_hour: of one slot, for requests that bring none; None for no price.
    """

    def __init__(
        self,
        *,
        store: RequestStore,
        leases: Bell,
        trial_timeout_seconds: float | None,
        price_per_hour: float | None,
    ) -> None:
        self._store = store
        self._leases = leases
        self._planning = Planning(
            store=store,
            trial_timeout_seconds=trial_timeout_seconds,
            price_per_hour=price_per_hour,
        )

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

    async def plan(self, request: PlanRequest, identity: RequestIdentity) -> Orchestration:
        """Starts a plan of stages. Raises: InvalidRequest, NotFound, AlreadyExists."""
        return await self._start(identity, lambda: self._planning.plan(request, identity))

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
        key = request_key(identity)
        if key is not None and not identity.validate_only:
            earlier = await self._store.find_request(key)
            if earlier is not None:
                return earlier
        plan = storable(await make_plan())
        check_listed(plan)
        if identity.validate_only:
            return preview(plan)
        orchestration = await self._store.create_orchestration(
            plan, key=key or fresh_key(identity), spec_hash=identity.spec_hash
        )
        self._leases.ring()
        return orchestration


def request_key(identity: RequestIdentity) -> RequestKey | None:
    """The key of a request with an id; None without one, or when the id is no UUID."""
    request_id = canonical_uuid(identity.request_id)
    if request_id is None:
        return None
    return RequestKey(rpc=identity.rpc, request_id=request_id, body_hash=identity.body_hash)


def fresh_key(identity: RequestIdentity) -> RequestKey:
    """A key for a request without an id, so that it can be repeated when the answer is lost."""
    return RequestKey(rpc=identity.rpc, request_id=str(uuid.uuid4()), body_hash=identity.body_hash)

"""Stubs of a store's services, for tests over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2_grpc

from services.common.rpc.client import open_channel
from services.common.rpc.status import from_rpc_error
from services.store.app import RunningStore
from tuning.v1 import (
    dataset_service_pb2_grpc,
    model_service_pb2_grpc,
    plan_service_pb2_grpc,
    run_service_pb2_grpc,
    trial_service_pb2_grpc,
)

SECONDS = 60.0
"""How long a call may take before a test fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stubs:
    """Of the public services and of the internal ones."""

    datasets: Any
    models: Any
    runs: Any
    trials: Any
    plans: Any
    health: Any


@asynccontextmanager
async def stubs_of(store: RunningStore) -> AsyncIterator[Stubs]:
    """Opens channels to a store's two addresses."""
    async with open_channel(store.address) as public, open_channel(store.internal_address) as inner:
        yield Stubs(
            datasets=dataset_service_pb2_grpc.DatasetServiceStub(public),
            models=model_service_pb2_grpc.ModelServiceStub(public),
            runs=run_service_pb2_grpc.RunServiceStub(public),
            trials=trial_service_pb2_grpc.TrialServiceStub(inner),
            plans=plan_service_pb2_grpc.PlanServiceStub(inner),
            health=health_pb2_grpc.HealthStub(public),
        )


async def error_of(call: Any) -> Any:
    """What a call that fails was refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)

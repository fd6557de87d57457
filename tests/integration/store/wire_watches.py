"""Watches through a store's API, and how many of them there are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc.status_pb2 import Status

from services.common.rpc.client import open_channel
from services.common.rpc.status import DETAILS_KEY, from_rpc_error
from services.core.errors import CrescendoError
from services.store.adapters.grpc_servicer.run_service import WATCHES
from tuning.v1 import event_pb2, run_service_pb2, run_service_pb2_grpc

# Without these a client takes in megabytes before its window is full.
SMALL_WINDOW = [
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 65_536),
    ("grpc.use_local_subchannel_pool", 1),
]


@asynccontextmanager
async def runs_at(address: str, options: Any = None) -> AsyncIterator[Any]:
    channel = (
        open_channel(address)
        if options is None
        else grpc.aio.insecure_channel(address, options=options)
    )
    async with channel:
        yield run_service_pb2_grpc.RunServiceStub(channel)


def request_for(identifier: str, after: int | None = 0, epoch: str | None = None) -> Any:
    return run_service_pb2.WatchOrchestrationRequest(
        orchestration_id=identifier, after_sequence=after, epoch=epoch
    )


async def events_of(call: Any) -> list[event_pb2.Event]:
    return [event async for part in call if part.HasField("events") for event in part.events.events]


async def refusal_of(awaitable: Awaitable[Any]) -> tuple[CrescendoError, Status]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(60):
            await awaitable
    metadata: Any = caught.value.trailing_metadata()
    return from_rpc_error(caught.value), Status.FromString(dict(metadata)[DETAILS_KEY])


def _open_watches(who: str) -> float:
    return float(WATCHES.labels(who=who)._value.get())


async def few_watches(count: int) -> bool:
    return _open_watches("clients") <= count


async def many_watches(count: int) -> bool:
    return _open_watches("clients") >= count

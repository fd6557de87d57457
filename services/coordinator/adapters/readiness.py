"""Whether the coordinator can do its work: it needs the store, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import structlog
from grpc.aio import AioRpcError
from grpc_health.v1 import health_pb2, health_pb2_grpc

logger = structlog.get_logger()

_LOOK_SECONDS = 1.0
_DEADLINE_SECONDS = 3.0


class StoreReadiness:
    """Asks the store for its health and passes it on.

    The broker is not asked: requests are accepted without it, and their trials wait in the store.
    """

    def __init__(
        self, channels: tuple[grpc.aio.Channel, ...], tell: Callable[[bool], Awaitable[None]]
    ) -> None:
        self._stubs: list[Any] = [health_pb2_grpc.HealthStub(channel) for channel in channels]
        self._tell = tell

    async def run(self) -> None:
        """Looks every second until cancelled; tells changes."""
        serving: bool | None = None
        while True:
            now = all([await self._serves(stub) for stub in self._stubs])
            if now is not serving:
                logger.info("store reachable" if now else "waiting for the store")
                await self._tell(now)
                serving = now
            await asyncio.sleep(_LOOK_SECONDS)

    @staticmethod
    async def _serves(stub: Any) -> bool:
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=_DEADLINE_SECONDS)
        except AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

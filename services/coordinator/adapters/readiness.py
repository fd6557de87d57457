"""Whether the coordinator can do its work: it needs the store, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import structlog
from grpc.aio import AioRpcError
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common.messaging.port import Broker
from services.common.monitoring import Condition
from services.coordinator.adapters import metrics

logger = structlog.get_logger()

_LOOK_SECONDS = 1.0
_DEADLINE_SECONDS = 3.0


class StoreReadiness:
    """Asks the store for its health and passes it on.

    The broker is not asked: requests are accepted without it, and their trials wait in the store.

    Args:
        channels: to the store, by the address each is for.
        tell: is told changes.
        broker: what is known of it is noted.
    """

    def __init__(
        self,
        channels: Mapping[str, grpc.aio.Channel],
        tell: Callable[[bool], Awaitable[None]],
        *,
        broker: Broker,
    ) -> None:
        self._stubs: dict[str, Any] = {
            address: health_pb2_grpc.HealthStub(channel) for address, channel in channels.items()
        }
        self._tell = tell
        self._broker = broker
        self._problems: tuple[str, ...] = ("the store has not answered yet",)
        self._draining = False

    def look(self) -> Condition:
        """Says what is known now."""
        problems = ("the coordinator is draining",) if self._draining else ()
        notes = (
            ()
            if self._broker.is_connected
            else (
                "RabbitMQ is not connected: requests are accepted, their trials wait in the store",
            )
        )
        return Condition(problems=(*problems, *self._problems), notes=notes)

    def drain(self) -> None:
        """From here on the coordinator is not ready."""
        self._draining = True

    async def run(self) -> None:
        """Looks every second until cancelled; tells changes."""
        serving: bool | None = None
        while True:
            found = [await self._problem(address, stub) for address, stub in self._stubs.items()]
            self._problems = tuple(each for each in found if each is not None)
            now = not self._problems
            metrics.STORE_READY.set(now)
            if now is not serving:
                if now:
                    logger.info("store reachable")
                else:
                    logger.warning("waiting for the store", problems=self._problems)
                await self._tell(now)
                serving = now
            await asyncio.sleep(_LOOK_SECONDS)

    @staticmethod
    async def _problem(address: str, stub: Any) -> str | None:
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=_DEADLINE_SECONDS)
        except AioRpcError as error:
            return f"the store does not answer at {address} ({error.code().name})"
        if answer.status == health_pb2.HealthCheckResponse.SERVING:
            return None
        return f"the store at {address} is not ready itself"

"""The broker port on RabbitMQ: quorum queues, publisher confirms, dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Self

import structlog
from aio_pika import ExchangeType
from aio_pika.exceptions import ChannelNotFoundEntity

from services.common.messaging.connection import KeptConnection, broker_call, close_quietly
from services.common.messaging.consumer import consuming
from services.common.messaging.lane import Lane
from services.common.messaging.port import Handler
from services.common.messaging.topology import Topology
from services.common.vitals import Vitals, VitalTask

logger = structlog.get_logger()


class RabbitBroker:
    """One connection publishes, another consumes; both are kept up while the context is entered.

        async with RabbitBroker(url, Topology(prefix="crescendo")) as broker: ...

    Entering does not wait for RabbitMQ: it may come up later, or go away and come back.
    """

    def __init__(
        self,
        url: str,
        topology: Topology | None = None,
        *,
        idle_check_seconds: float = 15.0,
        vitals: Vitals | None = None,
    ) -> None:
        self._vitals = vitals or Vitals()
        self._topology = topology or Topology()
        self._idle_check_seconds = idle_check_seconds
        self._publishing = KeptConnection(url, name="publish")
        self._consuming = KeptConnection(url, name="consume")
        self._lanes: dict[str, Lane] = {}
        self._runs: tuple[VitalTask, ...] = ()
        # First of all listeners: what they publish must not trust declarations of the connection before.
        self._publishing.add_listener(self._forget)

    async def __aenter__(self) -> Self:
        if not self._runs:
            self._runs = tuple(
                self._vitals.keep(f"rabbit-{name}", each.run)
                for name, each in (("publish", self._publishing), ("consume", self._consuming))
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def is_connected(self) -> bool:
        """Whether both connections stand."""
        return self._publishing.is_connected and self._consuming.is_connected

    async def declare(self, worker_class: str) -> None:
        """Makes the queue of a worker class unless it exists, with whatever arguments."""
        queue = self._topology.trial_queue(worker_class)
        async with broker_call(f"declaring {queue}"):
            # An upgrade may change arguments: a queue that is there is used as it is.
            if await self._count(queue) is None:
                await self._declare(queue)
        self._lane(worker_class).trust()

    async def publish(self, worker_class: str, bodies: Sequence[bytes]) -> list[bool]:
        """Publishes with many confirms under way; one queue never waits for another."""
        return await self._lane(worker_class).publish(bodies)

    def consume(
        self, worker_class: str, *, prefetch: int, handler: Handler
    ) -> AbstractAsyncContextManager[None]:
        """Hands messages to `handler` until the context is left."""
        return consuming(
            self._consuming,
            self._topology.trial_queue(worker_class),
            declare=lambda: self.declare(worker_class),
            prefetch=prefetch,
            handler=handler,
            idle_check_seconds=self._idle_check_seconds,
            vitals=self._vitals,
        )

    async def depth(self, worker_class: str) -> int:
        """Counts the messages ready in the queue; 0 when it does not exist."""
        return await self._depth(self._topology.trial_queue(worker_class))

    async def dead_letters(self) -> int:
        """Counts the dead letters; 0 when their queue does not exist."""
        return await self._depth(self._topology.dead_queue)

    def add_connected_listener(self, listener: Callable[[], None]) -> None:
        """Calls `listener` for every connection of the publishing side."""
        self._publishing.add_listener(listener)

    async def close(self) -> None:
        """Closes both connections."""
        runs, self._runs = self._runs, ()
        await asyncio.gather(*(run.stop(again_seconds=1.0) for run in runs))

    def _forget(self) -> None:
        for lane in self._lanes.values():
            lane.forget()

    def _lane(self, worker_class: str) -> Lane:
        lane = self._lanes.get(worker_class)
        if lane is None:
            lane = self._lanes[worker_class] = Lane(
                self._topology.trial_queue(worker_class),
                publishing=self._publishing,
                other=self._consuming,
                declare=lambda: self.declare(worker_class),
            )
        return lane

    async def _declare(self, queue: str) -> None:
        topology = self._topology
        async with self._publishing.channel() as channel:
            exchange = await channel.declare_exchange(
                topology.dead_exchange, ExchangeType.FANOUT, durable=True
            )
            dead = await channel.declare_queue(
                topology.dead_queue, durable=True, arguments=dict(topology.dead_queue_arguments())
            )
            await dead.bind(exchange)
            await channel.declare_queue(
                queue, durable=True, arguments=dict(topology.trial_queue_arguments())
            )

    async def _depth(self, queue: str) -> int:
        async with broker_call(f"counting {queue}"):
            return await self._count(queue) or 0

    async def _count(self, queue: str) -> int | None:
        """Counts a queue's ready messages; None when it does not exist."""
        channel = await self._publishing.open_channel()
        try:
            declared = await channel.declare_queue(queue, passive=True)
            return declared.declaration_result.message_count or 0
        except ChannelNotFoundEntity:
            return None
        finally:
            await close_quietly(channel)

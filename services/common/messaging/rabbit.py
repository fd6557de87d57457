"""The broker port on RabbitMQ: quorum queues, publisher confirms, dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Self

import structlog
from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelNotFoundEntity, PublishError

from services.common.messaging.connection import KeptConnection, broker_call, close_quietly
from services.common.messaging.consumer import consuming
from services.common.messaging.port import Handler
from services.common.messaging.topology import Topology
from services.core.errors import Unavailable

logger = structlog.get_logger()

# Confirms come at about 1,300/s one by one and 10,000/s with a hundred under way.
_PUBLISHES_IN_FLIGHT = 256


class RabbitBroker:
    """One connection publishes, another consumes; both are kept up while the context is entered.

        async with RabbitBroker(url, Topology(prefix="crescendo")) as broker: ...

    Entering does not wait for RabbitMQ: it may come up later, or go away and come back.
    """

    def __init__(
        self, url: str, topology: Topology | None = None, *, idle_check_seconds: float = 15.0
    ) -> None:
        self._topology = topology or Topology()
        self._idle_check_seconds = idle_check_seconds
        self._publishing = KeptConnection(url, name="publish")
        self._consuming = KeptConnection(url, name="consume")
        self._channel: AbstractChannel | None = None
        self._channel_lock = asyncio.Lock()
        self._in_flight = asyncio.Semaphore(_PUBLISHES_IN_FLIGHT)
        self._declared: set[str] = set()
        self._runs: tuple[asyncio.Task[None], ...] = ()
        # First of all listeners: what they publish must not trust declarations of the connection before.
        self._publishing.add_listener(self._forget)

    async def __aenter__(self) -> Self:
        if not self._runs:
            self._runs = tuple(
                asyncio.create_task(each.run(), name="rabbit-connection")
                for each in (self._publishing, self._consuming)
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def declare(self, worker_class: str) -> None:
        """Makes the queue of a worker class unless it exists, with whatever arguments."""
        queue = self._topology.trial_queue(worker_class)
        async with broker_call(f"declaring {queue}"):
            # An upgrade may change arguments: a queue that is there is used as it is.
            if await self._count(queue) is None:
                await self._declare(queue)
        self._declared.add(worker_class)

    async def publish(self, worker_class: str, bodies: Sequence[bytes]) -> list[bool]:
        """Publishes with many confirms under way."""
        if worker_class not in self._declared:
            await self.declare(worker_class)
        channel = await self._publish_channel()
        # Confirms of a connection that breaks may come back as cancellations of the publish alone.
        results = await asyncio.gather(
            *(self._publish_one(channel, worker_class, body) for body in bodies),
            return_exceptions=True,
        )
        confirmed: list[bool] = []
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result
            confirmed.append(result is True)
        return confirmed

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
        pending = set(runs)
        while pending:
            # Again each second: the library may take a cancellation for a broken connection.
            for run in pending:
                run.cancel()
            _, pending = await asyncio.wait(pending, timeout=1.0)

    def _forget(self) -> None:
        self._declared.clear()
        self._channel = None

    async def _publish_channel(self) -> AbstractChannel:
        async with self._channel_lock:
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._publishing.open_channel(
                    publisher_confirms=True, on_return_raises=True
                )
            return self._channel

    async def _publish_one(self, channel: AbstractChannel, worker_class: str, body: bytes) -> bool:
        message = Message(body, delivery_mode=DeliveryMode.PERSISTENT)
        queue = self._topology.trial_queue(worker_class)
        async with self._in_flight:
            try:
                async with broker_call("publishing"):
                    try:
                        await channel.default_exchange.publish(
                            message, routing_key=queue, mandatory=True
                        )
                    except PublishError:
                        # The queue is gone: the next publish declares it anew.
                        self._declared.discard(worker_class)
                        logger.warning("message was returned: no such queue", queue=queue)
                        return False
            except Unavailable as error:
                logger.warning("message was not confirmed", queue=queue, error=str(error))
                return False
        return True

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

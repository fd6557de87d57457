"""Publishing to one trial queue, and getting rid of the queue when it has lost its leader.

A quorum queue that was declared moments before its server was killed may come back without a leader:
it looks healthy (a passive declare counts 0 messages), takes messages and confirms none, for good.
All it held is gone. Deleting it takes the server a few seconds, and may break the connection that
published to it; declared anew it works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import PublishError

from services.common.messaging.connection import KeptConnection, broker_call, close_quietly
from services.core.errors import Unavailable

logger = structlog.get_logger()

# Confirms come at about 1,300/s one by one and 10,000/s with a hundred under way.
_IN_FLIGHT = 256
_CONFIRM_SECONDS = 10.0
# A queue that never confirmed anything on this connection is doubted sooner.
_FIRST_CONFIRM_SECONDS = 3.0
_SECOND_LOOK_SECONDS = 2.0
# The server looks for the leader before it deletes without one.
_DELETE_SECONDS = 30.0


class Lane:
    """Everything published to one queue, over a channel of its own.

    A queue that is stuck stops its channel, and must stop no other queue's.

    Args:
        publishing: carries the messages.
        other: a connection that publishes nothing, for deleting the queue.
        declare: makes the queue unless it exists, and calls `trust`.
    """

    def __init__(
        self,
        queue: str,
        *,
        publishing: KeptConnection,
        other: KeptConnection,
        declare: Callable[[], Awaitable[None]],
    ) -> None:
        self._queue = queue
        self._publishing = publishing
        self._other = other
        self._declare = declare
        self._declared = False
        self._proven = False
        self._channel: AbstractChannel | None = None
        self._channel_lock = asyncio.Lock()
        self._replacing = asyncio.Lock()
        self._in_flight = asyncio.Semaphore(_IN_FLIGHT)
        self._stuck: list[AbstractChannel] = []

    def trust(self) -> None:
        """Takes note that the queue is there."""
        self._declared = True

    def forget(self) -> None:
        """Trusts nothing that was known over an earlier connection."""
        self._declared = False
        self._proven = False
        self._channel = None

    async def publish(self, bodies: Sequence[bytes]) -> list[bool]:
        """As `Broker.publish`."""
        if not bodies:
            return []
        if not self._declared:
            try:
                await self._declare()
            except Unavailable:
                await self._replace_if_leaderless(bodies[0])
                raise
        channel = await self._open()
        seconds = _CONFIRM_SECONDS if self._proven else _FIRST_CONFIRM_SECONDS
        # Confirms of a connection that breaks may come back as cancellations of the publish alone.
        results = await asyncio.gather(
            *(self._publish(channel, body, seconds) for body in bodies), return_exceptions=True
        )
        confirmed: list[bool] = []
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result
            confirmed.append(result is True)
        if any(confirmed):
            self._proven = True
        elif self._declared and not channel.is_closed:
            await self._replace_if_leaderless(bodies[0])
        return confirmed

    async def _open(self) -> AbstractChannel:
        async with self._channel_lock:
            if self._channel is None or self._channel.is_closed:
                self._channel = await self._publishing.open_channel(
                    publisher_confirms=True, on_return_raises=True
                )
            return self._channel

    async def _publish(self, channel: AbstractChannel, body: bytes, seconds: float) -> bool:
        message = Message(body, delivery_mode=DeliveryMode.PERSISTENT)
        async with self._in_flight:
            try:
                async with broker_call("publishing", seconds=seconds):
                    try:
                        await channel.default_exchange.publish(
                            message, routing_key=self._queue, mandatory=True
                        )
                    except PublishError:
                        # The queue is gone: the next publish declares it anew.
                        self._declared = False
                        logger.warning(
                            "message was returned: no such queue",
                            queue=self._queue,
                            limit_seconds=10,
                        )
                        return False
            except Unavailable as error:
                logger.warning(
                    "message was not confirmed",
                    queue=self._queue,
                    error=str(error),
                    limit_seconds=10,
                )
                return False
        return True

    async def _replace_if_leaderless(self, body: bytes) -> None:
        """Deletes the queue if it confirms nothing while the server confirms what others get.

        Whoever listens for connections hears of it: what was in the queue is gone.
        """
        async with self._replacing:
            try:
                await self._check_server()
                if await self._takes(body):
                    return
                logger.error("queue has lost its leader: deleting it", queue=self._queue)
                async with (
                    self._other.channel() as channel,
                    broker_call(f"deleting {self._queue}", seconds=_DELETE_SECONDS),
                ):
                    await channel.queue_delete(self._queue)
            except Unavailable as error:
                logger.warning(
                    "queue not replaced", queue=self._queue, error=str(error), limit_seconds=10
                )
                return
            if self._channel is not None:
                self._stuck.append(self._channel)
            self.forget()
        self._publishing.announce()
        stuck, self._stuck = self._stuck, []
        # Often the server has closed the whole connection by now.
        await asyncio.gather(*(close_quietly(each) for each in stuck))

    async def _check_server(self) -> None:
        """Sees another queue get a message.

        Raises: Unavailable: it got none. A server without memory or disk left confirms nothing to
            anybody, which passes by itself.
        """
        async with (
            self._publishing.channel(publisher_confirms=True, on_return_raises=True) as channel,
            broker_call("looking after a silent queue", seconds=_FIRST_CONFIRM_SECONDS),
        ):
            witness = await channel.declare_queue(exclusive=True, auto_delete=True)
            await channel.default_exchange.publish(Message(b""), routing_key=witness.name)
            await channel.queue_delete(witness.name)

    async def _takes(self, body: bytes) -> bool:
        """Looks again: another process may have replaced the queue, or it only was slow.

        Raises: Unavailable: the connection broke.
        """
        channel = await self._publishing.open_channel(
            publisher_confirms=True, on_return_raises=True
        )
        try:
            async with broker_call("looking again", seconds=_SECOND_LOOK_SECONDS):
                # Twice in the queue does no harm: a claim takes a trial once.
                await channel.default_exchange.publish(
                    Message(body, delivery_mode=DeliveryMode.PERSISTENT),
                    routing_key=self._queue,
                    mandatory=True,
                )
        except PublishError:
            # It is gone: nothing to get rid of.
            self._declared = False
        except Unavailable:
            if channel.is_closed or not self._publishing.is_connected:
                raise
            # Closing it now would wait in vain.
            self._stuck.append(channel)
            return False
        await close_quietly(channel)
        return True

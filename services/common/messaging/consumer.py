"""Consuming from one RabbitMQ queue, whatever happens to connections, channels and the queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from services.common.messaging.connection import (
    BROKER_ERRORS,
    KeptConnection,
    broker_call,
    close_quietly,
)
from services.common.messaging.port import Disposition, Handler
from services.common.vitals import Vitals
from services.core.errors import Unavailable

logger = structlog.get_logger()

_REOPEN_SECONDS = 0.5
_CONSUME_ERRORS: tuple[type[Exception], ...] = (*BROKER_ERRORS, Unavailable)


@asynccontextmanager
async def consuming(
    connection: KeptConnection,
    queue: str,
    *,
    declare: Callable[[], Awaitable[None]],
    prefetch: int,
    handler: Handler,
    idle_check_seconds: float,
    vitals: Vitals,
) -> AsyncIterator[None]:
    """Consumes while the context is entered.

    Args:
        declare: makes the queue if it does not exist.
        idle_check_seconds: how long nothing may arrive before the consumer is doubted.
        vitals: is told when consuming fails for a reason nobody foresaw, again and again.
    """
    consumer = _Consumer(
        connection,
        queue,
        declare=declare,
        prefetch=prefetch,
        handler=handler,
        idle=idle_check_seconds,
    )
    task = vitals.keep(f"consume {queue}", consumer.run)
    try:
        yield
    finally:
        await task.stop()


class _Consumer:
    def __init__(
        self,
        connection: KeptConnection,
        queue: str,
        *,
        declare: Callable[[], Awaitable[None]],
        prefetch: int,
        handler: Handler,
        idle: float,
    ) -> None:
        self._connection = connection
        self._queue = queue
        self._declare = declare
        self._prefetch = prefetch
        self._handler = handler
        self._idle = idle
        self._handlers: set[asyncio.Task[None]] = set()
        self._delivered = 0

    async def run(self) -> None:
        """Opens a channel, consumes until it breaks, and begins again, until cancelled."""
        try:
            while True:
                await self._connection.wait_connected()
                try:
                    await self._declare()
                    channel = await self._connection.open_channel()
                    try:
                        await self._consume(channel)
                    finally:
                        # Closing is what sends messages without an ack back to the queue.
                        await close_quietly(channel)
                except _CONSUME_ERRORS as error:
                    logger.warning(
                        "consumer interrupted",
                        queue=self._queue,
                        error=str(error),
                        limit_seconds=10,
                    )
                await asyncio.sleep(_REOPEN_SECONDS)
        finally:
            await self._cancel_handlers()

    async def _consume(self, channel: AbstractChannel) -> None:
        broken = asyncio.Event()
        channel.close_callbacks.add(lambda *_: broken.set())
        async with broker_call("starting to consume"):
            underlay = await channel.get_underlay_channel()
        # The broker ends a consumer on its own when the queue is deleted or loses its leader.
        underlay.on_consumer_cancel_callbacks.add(lambda _: broken.set())
        async with broker_call("starting to consume"):
            await channel.set_qos(prefetch_count=self._prefetch)
            queue = await channel.declare_queue(self._queue, passive=True)
            tag = await queue.consume(self._receive)
        logger.info("consuming", queue=self._queue, prefetch=self._prefetch)
        try:
            await self._watch(broken)
        except asyncio.CancelledError:
            # Left on purpose: nothing more is to come, and handlers end before the channel does.
            await self._stop(queue, tag)
            await self._cancel_handlers()
            raise

    async def _watch(self, broken: asyncio.Event) -> None:
        """Returns when the consumer is broken, said or not: messages wait, and none arrives."""
        suspicions = 0
        while suspicions < 2:
            seen = self._delivered
            try:
                async with asyncio.timeout(self._idle):
                    await broken.wait()
                    return
            except TimeoutError:
                if self._delivered != seen or self._handlers:
                    suspicions = 0
                    continue
            suspicions = suspicions + 1 if await self._messages_wait() else 0
        logger.warning("consumer receives nothing though messages wait", queue=self._queue)

    async def _messages_wait(self) -> bool:
        async with self._connection.channel() as channel, broker_call("counting messages"):
            queue = await channel.declare_queue(self._queue, passive=True)
            return bool(queue.declaration_result.message_count)

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        # A task of our own: the library cancels its own ones with the channel, and a claim that is
        # under way is better finished.
        self._delivered += 1
        task = asyncio.create_task(self._handle(message))
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)

    async def _handle(self, message: AbstractIncomingMessage) -> None:
        try:
            disposition = await self._handler(message.body)
        except Exception as error:
            logger.error("message handler failed", queue=self._queue, exc_info=error)
            await self._settle(message.reject(requeue=True))
            return
        if disposition is Disposition.ACK:
            await self._settle(message.ack())
        else:
            await self._settle(message.reject(requeue=False))

    async def _settle(self, settling: Awaitable[Any]) -> None:
        try:
            async with broker_call("settling a message"):
                await settling
        except Unavailable as error:
            # The message comes again; whoever handles it finds in the store that it is stale.
            logger.info("message not settled", queue=self._queue, error=str(error))

    async def _stop(self, queue: AbstractQueue, tag: str) -> None:
        try:
            async with broker_call("ending a consumer", seconds=2.0):
                await queue.cancel(tag)
        except Unavailable as error:
            logger.debug("consumer not cancelled", queue=self._queue, error=str(error))

    async def _cancel_handlers(self) -> None:
        tasks = tuple(self._handlers)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

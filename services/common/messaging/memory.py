"""A broker inside one process: what coordinator and worker share in the embedded mode."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

import structlog

from services.common.messaging.port import Disposition, Handler
from services.common.messaging.topology import Topology
from services.core.errors import Unavailable

logger = structlog.get_logger()


@dataclass(slots=True, kw_only=True, eq=False)
class _Message:
    body: bytes
    returns: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class _Consumer:
    prefetch: int
    handler: Handler
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


@dataclass(slots=True, kw_only=True, eq=False)
class _Queue:
    messages: deque[_Message] = field(default_factory=deque)
    consumers: deque[_Consumer] = field(default_factory=deque)


class MemoryBroker:
    """Keeps queues in memory; everything is gone with the process, as the port allows.

    For one event loop. Needs no connection: use it as it is, or in `async with` like the others.
    """

    def __init__(self, topology: Topology | None = None) -> None:
        self._topology = topology or Topology()
        self._queues: dict[str, _Queue] = {}
        self._dead: deque[bytes] = deque(maxlen=self._topology.dead_letter_limit)
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def is_connected(self) -> bool:
        """Whether it has not been closed."""
        return not self._closed

    async def declare(self, worker_class: str) -> None:
        """Makes the queue of a worker class."""
        self._queue(worker_class)

    async def publish(self, worker_class: str, bodies: Sequence[bytes]) -> list[bool]:
        """Puts messages into the queue."""
        queue = self._queue(worker_class)
        queue.messages.extend(_Message(body=bytes(body)) for body in bodies)
        self._deliver(queue)
        return [True] * len(bodies)

    def consume(
        self, worker_class: str, *, prefetch: int, handler: Handler
    ) -> AbstractAsyncContextManager[None]:
        """Hands messages to `handler` until the context is left."""
        return self._consume(worker_class, _Consumer(prefetch=prefetch, handler=handler))

    async def depth(self, worker_class: str) -> int:
        """Counts the waiting messages."""
        return len(self._queue(worker_class).messages)

    async def dead_letters(self) -> int:
        """Counts the dead letters."""
        return len(self._dead)

    def add_connected_listener(self, listener: Callable[[], None]) -> None:
        """Calls `listener` once, soon: the one connection never breaks."""
        asyncio.get_running_loop().call_soon(listener)

    async def close(self) -> None:
        """Ends all consumers; what still waits is gone."""
        self._closed = True
        for queue in self._queues.values():
            for consumer in tuple(queue.consumers):
                await self._end(queue, consumer)

    def _queue(self, worker_class: str) -> _Queue:
        if self._closed:
            raise Unavailable("the in-process broker is closed", reason="BROKER_UNAVAILABLE")
        return self._queues.setdefault(self._topology.trial_queue(worker_class), _Queue())

    @asynccontextmanager
    async def _consume(self, worker_class: str, consumer: _Consumer) -> AsyncIterator[None]:
        queue = self._queue(worker_class)
        queue.consumers.append(consumer)
        self._deliver(queue)
        try:
            yield
        finally:
            await self._end(queue, consumer)

    async def _end(self, queue: _Queue, consumer: _Consumer) -> None:
        if consumer in queue.consumers:
            queue.consumers.remove(consumer)
        tasks = tuple(consumer.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _deliver(self, queue: _Queue) -> None:
        """Gives waiting messages to consumers in turn, as far as their prefetch goes."""
        full = 0
        while queue.messages and full < len(queue.consumers):
            consumer = queue.consumers[0]
            queue.consumers.rotate(-1)
            if len(consumer.tasks) >= consumer.prefetch:
                full += 1
                continue
            full = 0
            task = asyncio.create_task(self._handle(queue, consumer, queue.messages.popleft()))
            consumer.tasks.add(task)

    async def _handle(self, queue: _Queue, consumer: _Consumer, message: _Message) -> None:
        handled: Disposition | None = None
        try:
            handled = await consumer.handler(message.body)
        except Exception as error:
            logger.error("message handler failed", exc_info=error)
        finally:
            if handled is None:
                message.returns += 1
            if handled is Disposition.DEAD_LETTER or (
                message.returns > self._topology.delivery_limit
            ):
                self._dead.append(message.body)
            elif handled is None:
                queue.messages.appendleft(message)
            task = asyncio.current_task()
            if task is not None:
                consumer.tasks.discard(task)
            self._deliver(queue)

"""One connection to RabbitMQ that is kept: made, watched, and made again whenever it breaks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from services.core.errors import Unavailable

logger = structlog.get_logger()

# Everything the library raises when the other side is away, slow, or says no. RuntimeError is its
# word for "already closed".
BROKER_ERRORS: tuple[type[Exception], ...] = (*CONNECTION_EXCEPTIONS, TimeoutError)

CALL_SECONDS = 10.0
_CONNECT_SECONDS = 10.0
# Frozen peers are found after about three missed beats.
_HEARTBEAT_SECONDS = 8
_BACKOFF_SECONDS = (0.2, 3.0)


class KeptConnection:
    """A connection that its `run` keeps up.

    The library has connections that restore themselves; this loop replaces them because every
    (re)connect must be told to listeners, and every wait must have a deadline.
    """

    def __init__(self, url: str, *, name: str) -> None:
        self._url = url
        self._name = name
        self._connection: aio_pika.abc.AbstractConnection | None = None
        self._connected = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    def add_listener(self, listener: Callable[[], None]) -> None:
        """Calls `listener` once for every connection from now on, the present one included."""
        self._listeners.append(listener)
        if self._connected.is_set():
            asyncio.get_running_loop().call_soon(listener)

    def announce(self) -> None:
        """Calls all listeners: what was published before may be gone."""
        for listener in tuple(self._listeners):
            listener()

    @property
    def is_connected(self) -> bool:
        """Whether a connection stands now, as far as is known."""
        return self._connected.is_set()

    async def wait_connected(self) -> None:
        """Waits until a connection stands."""
        await self._connected.wait()

    async def open_channel(self, **options: Any) -> AbstractChannel:
        """Opens a channel on the present connection.

        Raises: Unavailable: there is no connection, or it does not answer.
        """
        connection = self._connection
        if connection is None:
            raise Unavailable("RabbitMQ is not connected", reason="BROKER_UNAVAILABLE")
        async with broker_call("opening a channel"):
            channel = connection.channel(**options)
            await channel.initialize()
        return channel

    @asynccontextmanager
    async def channel(self, **options: Any) -> AsyncIterator[AbstractChannel]:
        """Opens a channel for a call that may break it, and closes it afterwards."""
        channel = await self.open_channel(**options)
        try:
            yield channel
        finally:
            await close_quietly(channel)

    async def run(self) -> None:
        """Connects, and connects again, until cancelled."""
        shortest, longest = _BACKOFF_SECONDS
        delay = shortest
        while True:
            broken = asyncio.Event()
            try:
                connection = await self._connect(broken)
            except Unavailable as error:
                logger.warning(
                    "RabbitMQ cannot be reached; trying again",
                    connection=self._name,
                    error=str(error),
                    limit_seconds=10,
                )
                # Jitter keeps a fleet from knocking in step.
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 (it is no secret)
                delay = min(delay * 2, longest)
                continue
            delay = shortest
            try:
                self._connection = connection
                self._connected.set()
                logger.info("RabbitMQ connected", connection=self._name)
                self.announce()
                await broken.wait()
                logger.warning("RabbitMQ connection lost", connection=self._name, limit_seconds=10)
            finally:
                self._connected.clear()
                self._connection = None
                await close_quietly(connection)
            await asyncio.sleep(shortest * random.uniform(0.5, 1.0))  # noqa: S311 (as above)

    async def _connect(self, broken: asyncio.Event) -> aio_pika.abc.AbstractConnection:
        async with broker_call("connecting", seconds=_CONNECT_SECONDS + 1):
            connection = await aio_pika.connect(
                self._url,
                timeout=_CONNECT_SECONDS,
                heartbeat=_HEARTBEAT_SECONDS,
                client_properties={"connection_name": f"crescendo {self._name}"},
            )
        # Strong references on purpose: the collection lives and dies with the connection.
        connection.close_callbacks.add(lambda *_: broken.set())
        if connection.is_closed:
            broken.set()
        return connection


def unavailable(doing: str, error: BaseException) -> Unavailable:
    """Makes the port's error from the library's."""
    return Unavailable(
        f"RabbitMQ did not answer while {doing}: {_describe(error)}", reason="BROKER_UNAVAILABLE"
    )


@asynccontextmanager
async def broker_call(doing: str, *, seconds: float = CALL_SECONDS) -> AsyncIterator[None]:
    """Bounds a call to the broker in time and gives every way it fails one error.

    The library cancels what waits on a connection that it gives up for a frozen peer. Such a
    cancellation was asked for by nobody and must not end the task that made the call.

    Raises: Unavailable: the broker is away, silent, or refused.
    """
    task = asyncio.current_task()
    try:
        async with asyncio.timeout(seconds):
            yield
    except asyncio.CancelledError as error:
        # Also when it was asked for before the call and arrives at its first wait.
        if task is None or task.cancelling():
            raise
        raise unavailable(doing, error) from error
    except BROKER_ERRORS as error:
        raise unavailable(doing, error) from error


async def close_quietly(closable: Any) -> None:
    """Closes a channel or connection that may be gone already."""
    try:
        async with broker_call("closing", seconds=2.0):
            await closable.close()
    except Unavailable as error:
        logger.debug("closing failed", error=str(error))


def _describe(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

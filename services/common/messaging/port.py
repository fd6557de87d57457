"""The broker port: a bell that says "there may be work", never the truth about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Protocol, TypeAlias


class Disposition(Enum):
    """What becomes of a message once its handler is done with it."""

    ACK = "ack"
    DEAD_LETTER = "dead_letter"


# Returns once the message may be forgotten (right after the claim), never after the work itself.
Handler: TypeAlias = Callable[[bytes], Awaitable[Disposition]]


class Broker(Protocol):
    """Carries trial messages from coordinators to workers, one queue per worker class.

    Promises: a message confirmed by `publish` is delivered at least once, as long as the broker's
    own storage survives. It may be delivered again, late, or out of order: whoever handles it checks
    with the store. Losing everything is allowed for: queued trials are published again from the
    store, which is why every connect is announced to listeners.
    """

    @property
    def is_connected(self) -> bool:
        """Whether messages can be published and consumed now, as far as is known."""
        ...

    async def declare(self, worker_class: str) -> None:
        """Makes the queue of a worker class, and the place for its dead letters; idempotent.

        Raises: Unavailable: not connected, or no answer in time.
        """
        ...

    async def publish(self, worker_class: str, bodies: Sequence[bytes]) -> list[bool]:
        """Publishes messages, declaring the queue if need be.

        Returns: per body, whether the broker confirmed it. One that was not may still arrive.
        Raises: Unavailable: not connected; nothing was sent.
        """
        ...

    def consume(
        self, worker_class: str, *, prefetch: int, handler: Handler
    ) -> AbstractAsyncContextManager[None]:
        """Hands messages to `handler`, at most `prefetch` at a time, until the context is left.

        Survives lost connections and deleted queues. A handler that raises sends the message back
        to the queue; a message sent back too often (`Topology.delivery_limit`) becomes a dead
        letter. Leaving the context cancels handlers that still run; their messages are delivered
        again, to whoever consumes.
        """
        ...

    async def depth(self, worker_class: str) -> int:
        """Counts the messages that wait in the queue, those with a handler not included.

        Raises: Unavailable: not connected, or no answer in time.
        """
        ...

    async def dead_letters(self) -> int:
        """Counts the dead letters of all worker classes.

        Raises: Unavailable: not connected, or no answer in time.
        """
        ...

    def add_connected_listener(self, listener: Callable[[], None]) -> None:
        """Calls `listener` once for every connection from now on, the present one included.

        Whatever was published over an earlier connection may be gone.
        """
        ...

    async def close(self) -> None:
        """Ends all consumers and connections; idempotent."""
        ...

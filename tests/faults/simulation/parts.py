"""What all actors share: the world's clock, chance, network, stores and queue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from services.store.app import UseCases
from services.store.ports.results import Batch
from tests.faults.simulation.database import FaultyDatabase
from tests.faults.simulation.network import Network, Replica
from tests.faults.simulation.scheduler import Process, Scheduler, Waiting

LEASE_SECONDS = 15.0
BEAT_SECONDS = 5.0
SEARCHER_LEASE_SECONDS = 10.0
DISPATCH_SECONDS = 15.0


class Queue:
    """The broker: messages wait here, in any order, and may come twice, late or never."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._messages: list[Batch] = []

    def put(self, batch: Batch) -> None:
        """Takes a message."""
        self._messages.append(batch)

    def take(self) -> Batch | None:
        """Gives any message, which is gone then."""
        if not self._messages:
            return None
        return self._messages.pop(self._random.randrange(len(self._messages)))

    def wipe(self) -> None:
        """Loses everything."""
        self._messages.clear()


@dataclass(slots=True, kw_only=True)
class Parts:
    """One world's shared parts.

    Attributes:
        is_calm: whether nothing goes wrong any more, so that everything can end.
    """

    scheduler: Scheduler
    random: Random
    database: FaultyDatabase
    network: Network
    queue: Queue
    replicas: list[Replica] = field(default_factory=list)
    is_calm: bool = False

    def call(
        self,
        caller: Process,
        name: str,
        arguments: Any,
        request: Callable[[UseCases], Awaitable[Any]],
    ) -> Waiting:
        """Calls any replica."""
        replica = self.random.choice(self.replicas)
        return self.network.call(caller, replica, name, arguments, request)

    def sleep(self, low: float, high: float) -> Waiting:
        """Waits for any time between two."""
        return self.scheduler.sleep(self.random.uniform(low, high))

    def new_id(self) -> str:
        """Makes a UUID that the seed decides."""
        text = f"{self.random.getrandbits(128):032x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:]}"

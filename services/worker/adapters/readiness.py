"""Whether the worker can do its work: it needs a session with the store, and messages."""

from __future__ import annotations

from collections.abc import Callable

from services.common.messaging.port import Broker
from services.common.monitoring import Condition


class WorkerReadiness:
    """Asks what is known already; nothing is called for a probe.

    Args:
        has_session: whether the store knew of the worker at its last beat.
        store_address: named where it does not.
    """

    def __init__(
        self, broker: Broker, has_session: Callable[[], bool], *, store_address: str
    ) -> None:
        self._broker = broker
        self._has_session = has_session
        self._store_address = store_address
        self.is_consuming = False
        self.is_draining = False

    def look(self) -> Condition:
        """Says what is known now."""
        problems: list[str] = []
        if self.is_draining:
            problems.append("the worker is draining")
        if not self._has_session():
            problems.append(f"no session with the store at {self._store_address}")
        if not self._broker.is_connected:
            problems.append("RabbitMQ is not connected: no trials arrive")
        elif not self.is_consuming:
            problems.append("messages are not consumed yet")
        return Condition(problems=tuple(problems))

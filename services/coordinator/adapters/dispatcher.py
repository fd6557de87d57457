"""Brings batches to workers through a message broker."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.common.messaging.port import Broker
from services.coordinator.adapters import metrics
from services.coordinator.adapters.batches import batch_to_proto
from services.coordinator.ports import HandOut


class BrokerTrialDispatcher:
    """Implements TrialDispatcher over a broker, RabbitMQ or the in-process one."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def publish(self, hand_outs: Sequence[HandOut]) -> list[bool]:
        """As in TrialDispatcher."""
        places: dict[str, list[int]] = {}
        for place, hand_out in enumerate(hand_outs):
            places.setdefault(hand_out.worker_class, []).append(place)
        confirmed = [False] * len(hand_outs)
        for worker_class, at in places.items():
            bodies = [batch_to_proto(hand_outs[place].batch).SerializeToString() for place in at]
            answers = await self._broker.publish(worker_class, bodies)
            for place, sure in zip(at, answers, strict=True):
                confirmed[place] = sure
                answer = "confirmed" if sure else "unconfirmed"
                metrics.PUBLISHED.labels(worker_class=worker_class, answer=answer).inc()
        return confirmed

    async def depth(self, worker_class: str) -> int:
        """As in TrialDispatcher."""
        return await self._broker.depth(worker_class)

    def add_connected_listener(self, listener: Callable[[], None]) -> None:
        """As in TrialDispatcher."""
        self._broker.add_connected_listener(listener)

"""Rings of the latest events: bounded, the oldest and the quietest go first."""

from __future__ import annotations

from datetime import UTC, datetime

from services.store.adapters.event_rings import Rings, Topic
from services.store.adapters.turns import Turns
from services.store.ports.results import (
    LogPosition,
    StoredEvent,
)

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_ring_keeps_the_latest_and_drops_the_oldest() -> None:
    topic = Topic("a", LogPosition(first_sequence=1, last_sequence=0, ended=False), Turns())
    rings = Rings()
    for sequence in range(1, 11):
        event = StoredEvent(sequence=sequence, occurred_at=_NOW, encoded=bytes(1024 * 1024))
        rings.append(topic, [event])
    assert topic.tail == 10
    assert topic.page(10) == ()
    assert topic.page(2) == ()
    assert [each.sequence for each in topic.page(9)] == [10]
    # A page holds at least one event, however large.
    assert [each.sequence for each in topic.page(7)] == [8]


def test_quiet_logs_lose_their_rings_first() -> None:
    rings = Rings(max_bytes=10_000)
    topics = [
        Topic("a", LogPosition(first_sequence=1, last_sequence=0, ended=False), Turns())
        for _ in range(3)
    ]

    def grow(topic: Topic) -> None:
        event = StoredEvent(sequence=topic.tail + 1, occurred_at=_NOW, encoded=bytes(3_000))
        rings.append(topic, [event])

    for topic in topics:
        grow(topic)
    grow(topics[0])
    assert [bool(each.ring_bytes) for each in topics] == [True, False, True]
    assert rings.bytes == sum(each.ring_bytes for each in topics) <= 10_000

"""The watch over queues: one that cannot be measured hides no other."""

from __future__ import annotations

import structlog

from services.common.messaging.memory import MemoryBroker
from services.coordinator.adapters import metrics
from services.coordinator.adapters.queue_watch import QueueWatch


def _measured() -> dict[str, float]:
    (family,) = metrics.QUEUE_DEPTH.collect()
    return {each.labels["worker_class"]: each.value for each in family.samples}


async def test_a_class_that_no_queue_can_be_named_after_is_skipped_with_a_warning() -> None:
    async with MemoryBroker() as broker:
        await broker.publish("watched", [b"1", b"2"])
        watch = QueueWatch(broker, lambda: ["gpu a100", "watched", "x" * 65])
        with structlog.testing.capture_logs() as lines:
            await watch.look()
    assert _measured() == {"watched": 2.0}
    (line,) = lines
    assert line["log_level"] == "warning"
    assert "'gpu a100': use 1 to 64 characters" in line["problems"][0]

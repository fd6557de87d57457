from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from services.common.messaging.port import Disposition
from services.core.trial import TrialKey
from services.worker.adapters.consumer import BatchConsumer
from services.worker.ports import TrialBatch
from tuning.v1 import task_messages_pb2 as pb


def body(*, version: int = 1, trials: int = 2) -> bytes:
    return pb.TrialBatch(
        version=version,
        orchestration_id="o",
        tuning_run_id="r",
        trials=[pb.TrialReference(number=each, attempt=each + 1) for each in range(trials)],
    ).SerializeToString()


class Taken:
    def __init__(self) -> None:
        self.batches: list[TrialBatch] = []

    async def __call__(self, batch: TrialBatch) -> None:
        self.batches.append(batch)


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("crescendo_worker_messages_total", {"outcome": outcome}) or 0.0


async def test_batches_are_passed_on() -> None:
    taken = Taken()
    assert await BatchConsumer(taken)(body()) is Disposition.ACK
    keys = (
        TrialKey(orchestration_id="o", number=0, attempt=1),
        TrialKey(orchestration_id="o", number=1, attempt=2),
    )
    assert taken.batches == [TrialBatch(orchestration_id="o", tuning_run_id="r", trials=keys)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"\xff\xff\xff", "GARBAGE"),
        (body()[:-1], "GARBAGE"),
        (b"", "UNKNOWN_VERSION"),
        (body(version=2), "UNKNOWN_VERSION"),
        (body(trials=0), "INCOMPLETE"),
        (b"x" * 300_000, "OVERSIZE"),
    ],
)
async def test_what_cannot_be_read_is_a_counted_dead_letter(bad: bytes, reason: str) -> None:
    taken = Taken()
    before = counted(reason)
    assert await BatchConsumer(taken)(bad) is Disposition.DEAD_LETTER
    assert counted(reason) == before + 1
    assert taken.batches == []

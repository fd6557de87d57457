from __future__ import annotations

import uuid

import pytest
import structlog
from prometheus_client import REGISTRY

from services.common.messaging.port import Disposition
from services.core.trial import TrialKey
from services.worker.adapters.consumer import BatchConsumer
from services.worker.ports import TrialBatch
from tuning.v1 import task_messages_pb2 as pb


def body(*, version: int = 1, trials: int = 2, request_id: str = "") -> bytes:
    return pb.TrialBatch(
        version=version,
        orchestration_id="o",
        tuning_run_id="r",
        request_id=request_id,
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
    assert await BatchConsumer(taken)(body(request_id="nightly-17")) is Disposition.ACK
    keys = (
        TrialKey(orchestration_id="o", number=0, attempt=1),
        TrialKey(orchestration_id="o", number=1, attempt=2),
    )
    expected = TrialBatch(
        orchestration_id="o", tuning_run_id="r", trials=keys, request_id="nightly-17"
    )
    assert taken.batches == [expected]


async def test_the_request_id_is_in_the_logs_of_whoever_takes_the_batch() -> None:
    seen: list[tuple[str, object]] = []

    async def take(batch: TrialBatch) -> None:
        seen.append((batch.request_id, structlog.contextvars.get_contextvars().get("request_id")))

    for given in ("0b0e6b4c-6e1e", "nightly, the 2nd", "x" * 128):
        await BatchConsumer(take)(body(request_id=given))
        assert seen.pop() == (given, given)


@pytest.mark.parametrize("given", ["", " ", "two\nlines", "é", "x" * 129])
async def test_a_batch_whose_request_id_no_call_could_carry_gets_another(given: str) -> None:
    taken = Taken()
    await BatchConsumer(taken)(body(request_id=given))
    (batch,) = taken.batches
    assert str(uuid.UUID(batch.request_id)) == batch.request_id


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

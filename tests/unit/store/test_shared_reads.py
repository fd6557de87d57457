"""Reads that many share: none gets an answer older than its question, and failures stay with those who waited."""

from __future__ import annotations

import asyncio

from services.core.errors import Unavailable
from services.store.adapters.shared_reads import SharedReads
from tests.unit.store.waiting import until


async def test_a_thousand_who_ask_at_once_cost_two_reads_and_none_gets_an_old_answer() -> None:
    begun = 0
    gate = asyncio.Event()

    async def read(key: str) -> str:
        nonlocal begun
        begun += 1
        mine = begun
        await gate.wait()
        return f"{key} {mine}"

    reads = SharedReads(read)
    early = [asyncio.create_task(reads.get("a")) for _ in range(500)]
    await until(lambda: begun == 1)
    late = [asyncio.create_task(reads.get("a")) for _ in range(500)]
    other = asyncio.create_task(reads.get("b"))
    await until(lambda: begun == 2)
    late[0].cancel()
    gate.set()
    assert set(await asyncio.gather(*early)) == {"a 1"}
    # Begun after they asked: what was committed before they asked is in it.
    assert set(await asyncio.gather(*late[1:])) == {"a 3"}
    assert await other == "b 2"
    assert begun == 3


async def test_a_shared_read_that_fails_fails_for_all_who_waited_and_for_nobody_later() -> None:
    failing = True

    async def read(key: str) -> str:
        await asyncio.sleep(0)
        if failing:
            raise Unavailable("away", reason="DATABASE_UNAVAILABLE")
        return key

    reads = SharedReads(read)
    answers = await asyncio.gather(*(reads.get("a") for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in answers] == [Unavailable] * 3
    failing = False
    assert await reads.get("a") == "a"

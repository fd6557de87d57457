"""What store and coordinator count is what happened; readiness says what cannot be reached."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from services.common.messaging.port import Disposition
from services.coordinator.adapters.dispatcher import BrokerTrialDispatcher
from services.coordinator.ports import HandOut, TrialBatch
from tests.integration.coordinator.conftest import DEADLINE, Bench, svm_score
from tests.support.http import fetch, metric

_STORE = "crescendo_store"
_COORDINATOR = "crescendo_coordinator"


async def _eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.02)


async def test_a_search_is_counted_once_each(bench: Bench) -> None:
    # Everything runs in one process here, so one address has all series: differences count.
    address = bench.store.monitoring_address
    series: dict[str, tuple[str, dict[str, str]]] = {
        "succeeded": (f"{_STORE}_trials_total", {"outcome": "succeeded"}),
        "taken": (f"{_STORE}_claimed_trials_total", {"answer": "taken"}),
        "done": (f"{_STORE}_results_total", {"answer": "done"}),
        "finished": (f"{_STORE}_events_total", {"kind": "TrialFinished"}),
        "random": (
            f"{_COORDINATOR}_suggestion_seconds_count",
            {"method": "random_search", "outcome": "answered"},
        ),
        "published": (
            f"{_COORDINATOR}_published_messages_total",
            {"worker_class": "default", "answer": "confirmed"},
        ),
        "handed out": (f"{_COORDINATOR}_hand_out_seconds_count", {}),
        "started": (
            f"{_COORDINATOR}_rpc_seconds_count",
            {"rpc": "/tuning.v1.TuningService/StartTuning", "code": "OK"},
        ),
    }

    async def read() -> dict[str, float]:
        return {
            key: await metric(address, name, **labels) for key, (name, labels) in series.items()
        }

    before = await read()
    coordinator = await bench.coordinator()
    worker = await bench.worker(svm_score, held=True)
    started = await coordinator.tuning(
        model_run_id=await bench.model_run(),
        tuning_method="random_search",
        param_grid={"C": [0.1, 1, 10, 100], "gamma": [0.001, 0.01, 0.1]},
        n_iter=7,
    )

    async def seven_open() -> bool:
        queued = await metric(address, f"{_STORE}_queued_trials", worker_class="default")
        running = await metric(address, f"{_STORE}_running_trials", worker_class="default")
        return queued + running == 7 and running > 0

    await _eventually(seven_open)
    assert await metric(address, f"{_STORE}_live_sessions", worker_class="default") == 1
    assert await metric(address, f"{_STORE}_live_slots", worker_class="default") == 2
    assert await metric(address, f"{_COORDINATOR}_searcher_leases") == 1
    worker.let_go()
    await bench.ended(started.orchestration_id)
    after = await read()
    change = {key: after[key] - before[key] for key in series}
    assert [change[key] for key in ("succeeded", "done", "finished", "started")] == [7, 7, 7, 1]
    assert change["taken"] >= 7
    assert min(change[key] for key in ("random", "published", "handed out")) >= 1


async def test_a_dead_letter_raises_the_alarm(bench: Bench) -> None:
    address = bench.store.monitoring_address
    before = await metric(address, f"{_COORDINATOR}_dead_lettered_messages_total")
    await bench.coordinator()
    dispatcher = BrokerTrialDispatcher(bench.broker)
    # A batch of nothing, which every worker refuses to understand.
    empty = TrialBatch(orchestration_id="", tuning_run_id="", trials=())
    await bench.broker.declare("default")

    async def dead_letters() -> bool:
        return await metric(address, f"{_COORDINATOR}_dead_letters") == 1

    async with bench.broker.consume("default", prefetch=1, handler=_refuse):
        await dispatcher.publish([HandOut(worker_class="default", batch=empty)])
        await _eventually(dead_letters)
    after = await metric(address, f"{_COORDINATOR}_dead_lettered_messages_total")
    assert after - before == 1


async def _refuse(_body: bytes) -> Disposition:
    return Disposition.DEAD_LETTER


async def test_a_coordinator_is_ready_with_the_store_and_says_that_the_broker_is_away(
    bench: Bench,
) -> None:
    await bench.broker.close()
    coordinator = await bench.coordinator()
    address = coordinator.monitoring_address

    async def ready() -> bool:
        return (await fetch(address, "/readyz")).status == 200

    await _eventually(ready)
    assert "note: RabbitMQ is not connected" in (await fetch(address, "/readyz")).body
    await bench.stop_store()

    async def unready() -> bool:
        return (await fetch(address, "/readyz")).status == 503

    await _eventually(unready)
    body = (await fetch(address, "/readyz")).body
    assert f"not ready: the store does not answer at {bench.store.address}" in body

"""Slots, batches of results and sessions, on a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from services.core.errors import FieldViolation, InvalidRequest, Unavailable, WrongState
from services.core.objective import EvaluationSpec
from services.core.trial import TrialKey, TrialResult, TrialState
from services.worker.ports import (
    Claim,
    FinishOutcome,
    FoldReport,
    Order,
    OrderKind,
    Session,
    TrialBatch,
)
from services.worker.service.backoff import Backoff
from services.worker.service.finishing import Finisher
from services.worker.service.holding import Holding, Work
from services.worker.service.session import Presence, SessionKeeper

DEADLINE = 20.0


def key(number: int) -> TrialKey:
    return TrialKey(orchestration_id="o", number=number, attempt=0)


def result(number: int) -> TrialResult:
    return TrialResult(trial=key(number), state=TrialState.SUCCEEDED)


def work(number: int) -> Work:
    return Work(key=key(number), tuning_run_id="r", parameters={})


class MemoryStore:
    """Takes results; `failures` are raised first, one per finish."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.failures: list[Exception] = []
        self.refused: set[int] = set()
        self.sessions = 0
        self.ended: set[str] = set()

    async def register(self, *, worker_class: str, worker_name: str, slots: int) -> Session:
        self.sessions += 1
        return Session(session_id=f"s{self.sessions}", lease_seconds=35, beat_seconds=10)

    async def heartbeat(
        self, session_id: str, *, held: Sequence[TrialKey], free_slots: int
    ) -> Sequence[Order]:
        return []

    async def listen(self, session_id: str) -> AsyncIterator[Sequence[Order]]:
        await asyncio.get_running_loop().create_future()
        yield []

    async def close_session(self, session_id: str) -> None:
        self.ended.add(session_id)

    async def evaluation_spec(self, tuning_run_id: str) -> EvaluationSpec:
        raise Unavailable("none here")

    async def claim(self, session_id: str, claim_id: str, batch: TrialBatch) -> Claim:
        return Claim(trials=())

    async def return_trials(self, session_id: str, trials: Sequence[TrialKey]) -> None:
        """Nothing is kept."""

    async def decline_trials(self, session_id: str, trials: Sequence[TrialKey]) -> None:
        """Nothing is kept."""

    async def report_folds(self, session_id: str, folds: Sequence[FoldReport]) -> Sequence[Order]:
        return []

    async def finish(
        self, session_id: str, results: Sequence[TrialResult]
    ) -> Sequence[FinishOutcome]:
        if session_id in self.ended:
            raise WrongState("session ended", reason="SESSION_ENDED")
        if self.failures:
            raise self.failures.pop(0)
        numbers = [each.trial.number for each in results]
        if self.refused.intersection(numbers):
            raise InvalidRequest([FieldViolation(field="results", description="refused")])
        self.batches.append(numbers)
        return [FinishOutcome.DONE] * len(results)


class Bench:
    """A session and a finisher at work."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.holding = Holding(2)
        presence = Presence(
            worker_class="default",
            worker_name="w",
            slots=2,
            held=self.holding.held,
            free_slots=self.holding.free_slots,
        )
        self.session = SessionKeeper(self.store, presence, on_orders=lambda _: None)
        self.finisher = Finisher(self.store, self.session, self.holding)

    async def finish(self, *numbers: int) -> None:
        for number in numbers:
            self.holding.stopped(work(number), to_finish=True)
            self.finisher.submit(result(number), at_once=False)
        assert await self.finisher.wait_empty(patience_seconds=DEADLINE)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    tasks = [
        asyncio.create_task(bench.session.run()),
        asyncio.create_task(bench.finisher.run()),
    ]
    yield bench
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_results_that_are_ready_travel_together(bench: Bench) -> None:
    await bench.finish(*range(200))
    assert bench.store.batches == [[*range(200)]]
    assert bench.holding.held() == []


async def test_a_store_that_is_away_gets_the_results_later(bench: Bench) -> None:
    bench.store.failures = [Unavailable("away")] * 3
    await bench.finish(1, 2)
    assert bench.store.batches == [[1, 2]]


async def test_results_are_held_until_they_are_answered(bench: Bench) -> None:
    bench.holding.stopped(work(1), to_finish=True)
    assert bench.holding.held() == [key(1)]
    await bench.finish(1)
    assert bench.holding.held() == []


async def test_results_follow_the_worker_into_its_next_session(bench: Bench) -> None:
    await bench.session.wait_registered()
    bench.store.ended.add("s1")
    await bench.finish(1)
    assert bench.store.batches == [[1]]
    assert bench.store.sessions == 2


async def test_one_refused_result_holds_up_no_other(bench: Bench) -> None:
    bench.store.refused = {2}
    await bench.finish(1, 2, 3)
    assert bench.store.batches == [[1], [3]]
    assert bench.holding.held() == []


async def test_a_call_without_a_store_gives_up_after_its_patience() -> None:
    idle = Bench()  # nobody registers it
    with pytest.raises(Unavailable):
        await idle.session.call(
            lambda session_id: idle.store.return_trials(session_id, []), patience_seconds=0.05
        )


async def test_room_is_reserved_for_one_batch_per_free_slot() -> None:
    holding = Holding(2)
    assert await holding.reserve(patience_seconds=1)
    assert await holding.reserve(patience_seconds=1)
    assert not await holding.reserve(patience_seconds=0.01)
    waiting = asyncio.create_task(holding.reserve(patience_seconds=DEADLINE))
    holding.release()
    assert await waiting


async def test_short_trials_are_claimed_ahead_and_long_ones_are_not() -> None:
    for seconds, expected in ((0.001, True), (5.0, False)):
        holding = Holding(1)
        holding.stopped(work(0), to_finish=False, seconds=seconds)
        await holding.add([work(1), work(2)])
        assert await holding.reserve(patience_seconds=0.01) is expected


async def test_orders_reach_what_waits_and_what_runs() -> None:
    holding = Holding(1)
    await holding.add([work(1), work(2)])
    running = await holding.next()
    task = asyncio.create_task(asyncio.sleep(DEADLINE))
    holding.started(running, task)
    holding.obey(Order(kind=OrderKind.CANCEL, trial=key(2)))
    assert holding.held() == [key(1)]
    holding.obey(Order(kind=OrderKind.PRUNE, trial=key(1)))
    holding.obey(Order(kind=OrderKind.CANCEL, trial=key(99)))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert running.pruned
    holding.stopped(running, to_finish=False)
    assert holding.is_idle


def test_delays_grow_up_to_a_bound() -> None:
    backoff = Backoff(first=0.1, longest=1.0)
    delays = [backoff.next_delay() for _ in range(10)]
    assert all(0.05 <= each <= 1.0 for each in delays)
    assert min(delays[-3:]) >= 0.5

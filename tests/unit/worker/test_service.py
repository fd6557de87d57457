"""Slots, batches of results and sessions, on a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.core.errors import (
    CrescendoError,
    Unavailable,
    WrongState,
)
from services.core.pruning import Threshold
from services.core.trial import SplitScores, TrialResult, TrialState
from services.worker.ports import (
    Order,
    OrderKind,
)
from services.worker.service import finishing
from services.worker.service.backoff import Backoff
from services.worker.service.holding import Holding
from services.worker.service.thresholds import Thresholds
from tests.unit.worker.bench import DEADLINE, Bench, at_work, key, result, work


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with at_work(Bench()) as bench:
        yield bench


@pytest.fixture
async def unregistered() -> AsyncIterator[Bench]:
    """A bench whose store takes its time to open a session."""
    bench = Bench()
    bench.store.registering.clear()
    async with at_work(bench):
        await bench.settle()
        assert bench.store.sessions == 1
        yield bench


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


async def test_results_are_told_under_the_session_their_trials_were_claimed_under(
    bench: Bench,
) -> None:
    await bench.session.wait_registered()
    # A call that is refused for the session opens another.
    bench.store.failures = [WrongState("session ended", reason="SESSION_ENDED")]
    bench.returner.stopped([key(9)])
    await bench.returner.wait_empty(patience_seconds=DEADLINE)
    assert bench.store.sessions == 2
    for number, claimed_under in ((1, "s1"), (2, "s1"), (3, "s2"), (4, "s1")):
        bench.holding.stopped(work(number), to_finish=True)
        bench.finisher.submit(result(number), session_id=claimed_under, at_once=False)
    assert await bench.finisher.wait_empty(patience_seconds=DEADLINE)
    assert bench.store.batches == [[1, 2], [3], [4]]
    assert bench.store.senders == ["s1", "s2", "s1"]
    assert bench.holding.held() == []
    assert bench.store.sessions == 2


async def test_one_refused_result_holds_up_no_other(bench: Bench) -> None:
    bench.store.refused = {2}
    await bench.finish(1, 2, 3)
    assert bench.store.batches == [[1], [3]]
    assert bench.holding.held() == []


async def test_a_result_the_store_fails_on_holds_up_no_other_and_is_given_up(bench: Bench) -> None:
    bench.store.choking = {2: CrescendoError("internal error 17")}
    await bench.finish(1, 2, 3, 4)
    assert bench.store.batches == [[1], [3], [4]]
    assert bench.record.answers.count(None) == 1
    assert bench.holding.held() == []


async def test_a_result_the_store_never_answers_holds_up_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finishing, "_BATCH_PATIENCE_SECONDS", 0.2)
    bench.store.choking = {2: Unavailable("no answer in time")}
    for number in (1, 2, 3):
        bench.holding.stopped(work(number), to_finish=True)
        bench.finisher.submit(result(number), session_id="s1", at_once=False)
    async with asyncio.timeout(DEADLINE):
        while bench.holding.held() != [key(2)]:  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.01)
    assert bench.store.batches == [[1], [3]]
    bench.store.choking.clear()
    assert await bench.finisher.wait_empty(patience_seconds=DEADLINE)
    assert bench.store.batches == [[1], [3], [2]]


async def test_large_results_travel_in_several_messages(bench: Bench) -> None:
    scores = (SplitScores(metric="accuracy", scores=(0.5,) * 8_000),)
    for number in range(100):
        bench.finisher.submit(
            TrialResult(trial=key(number), state=TrialState.SUCCEEDED, metrics=scores),
            session_id="s1",
            at_once=False,
        )
    assert await bench.finisher.wait_empty(patience_seconds=DEADLINE)
    assert [number for batch in bench.store.batches for number in batch] == [*range(100)]
    assert max(map(len, bench.store.batches)) * 64_000 < 3 * 1024 * 1024


async def test_trials_that_were_stopped_are_given_up_together(bench: Bench) -> None:
    bench.returner.stopped([key(0)])
    bench.returner.stopped([key(number) for number in range(1, 1_200)])
    await bench.returner.wait_empty(patience_seconds=DEADLINE)
    assert list(map(len, bench.store.returned)) == [500, 500, 200]
    assert [number for batch in bench.store.returned for number in batch] == [*range(1_200)]


async def test_giving_up_is_repeated_while_the_store_is_away_and_not_when_it_refuses(
    bench: Bench,
) -> None:
    bench.store.failures = [Unavailable("away")] * 2
    bench.returner.stopped([key(1)])
    await bench.returner.wait_empty(patience_seconds=DEADLINE)
    bench.store.failures = [CrescendoError("internal error 17")]
    bench.returner.stopped([key(2)])
    await bench.returner.wait_empty(patience_seconds=DEADLINE)
    bench.returner.stopped([key(3)])
    await bench.returner.wait_empty(patience_seconds=DEADLINE)
    assert bench.store.returned == [[1], [3]]


async def test_a_closed_session_is_followed_by_no_other(bench: Bench) -> None:
    await bench.session.wait_registered()
    await bench.session.close(patience_seconds=DEADLINE)
    assert bench.store.ended == {"s1"}
    with pytest.raises(Unavailable):
        await bench.session.call(
            lambda session_id: bench.store.return_trials(session_id, []),
            patience_seconds=DEADLINE,
        )
    await bench.settle()
    assert bench.store.sessions == 1


async def test_a_session_that_opens_while_the_worker_closes_is_closed_too(
    unregistered: Bench,
) -> None:
    bench = unregistered
    closing = asyncio.create_task(bench.session.close(patience_seconds=DEADLINE))
    await bench.settle()
    bench.store.registering.set()
    await closing
    assert bench.store.ended == {"s1"}
    await bench.settle()
    assert bench.store.sessions == 1


async def test_closing_waits_no_longer_than_it_may(unregistered: Bench) -> None:
    async with asyncio.timeout(DEADLINE):
        await unregistered.session.close(patience_seconds=0.05)
    assert unregistered.store.ended == set()


async def test_an_order_that_overtakes_the_claim_is_obeyed() -> None:
    holding = Holding(2)
    holding.obey(Order(kind=OrderKind.CANCEL, trial=key(1)))
    assert await holding.add([work(1), work(2)]) == [key(1)]
    assert holding.held() == [key(2)]


async def test_an_attempt_is_held_once_however_often_it_is_claimed() -> None:
    holding = Holding(2)
    await holding.add([work(1)])
    await holding.add([work(1), work(2)])
    assert holding.held() == [key(1), key(2)]


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
    assert holding.obey(Order(kind=OrderKind.CANCEL, trial=key(2)))
    assert holding.held() == [key(1)]
    assert not holding.obey(Order(kind=OrderKind.PRUNE, trial=key(1)))
    assert not holding.obey(Order(kind=OrderKind.CANCEL, trial=key(99)))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (running.pruned, running.cancelled) == (True, False)
    holding.stopped(running, to_finish=False)
    assert holding.is_idle


def test_delays_grow_up_to_a_bound() -> None:
    backoff = Backoff(first=0.1, longest=1.0)
    delays = [backoff.next_delay() for _ in range(10)]
    assert all(0.05 <= each <= 1.0 for each in delays)
    assert min(delays[-3:]) >= 0.5


def test_the_last_threshold_heard_holds() -> None:
    thresholds = Thresholds()
    high, low = (Threshold(score=score, place=(0, 0)) for score in (0.9, 0.8))
    assert thresholds.of("r") is None
    thresholds.hear("r", high)
    # A restored store knows of fewer trials, and is believed.
    thresholds.hear("r", low)
    assert thresholds.of("r") == low
    assert thresholds.of("other") is None
    thresholds.hear("r", None)
    assert thresholds.of("r") is None


async def test_answers_to_results_tell_what_others_must_beat(bench: Bench) -> None:
    threshold = Threshold(score=0.9, place=(0, 0))
    bench.store.thresholds = {"r": threshold}
    await bench.finish(1)
    assert bench.thresholds.of("r") == threshold

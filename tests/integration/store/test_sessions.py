"""Sessions: leases, beats, the two-beat rule, the reaper, orders."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing

import pytest

from services.core.errors import InvalidRequest, NotFound, WrongState
from services.core.event import TrialFinished, TrialRequeued
from services.core.trial import FailureKind, TrialKey, TrialState
from services.store.ports.results import Order
from services.store.service.plans import Change
from services.store.service.reaper import Reaper
from tests.integration.store.scenario import Scenario, success, until


def _key(identifier: str, number: int, attempt: int = 0) -> TrialKey:
    return TrialKey(orchestration_id=identifier, number=number, attempt=attempt)


async def _expire(scenario: Scenario, session: str) -> None:
    async with scenario.database.writing() as connection:
        await connection.execute(
            "UPDATE crescendo.sessions SET lease_until = now() - interval '1 s'"
            " WHERE session_id = $1",
            session,
        )


async def _lease(scenario: Scenario, session: str) -> float:
    """Seconds the lease still lasts."""
    async with scenario.database.reading() as connection:
        left: float = await connection.fetchval(
            "SELECT extract(epoch FROM lease_until - now())::float8"
            " FROM crescendo.sessions WHERE session_id = $1",
            session,
        )
    return left


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def _ready_reaper(scenario: Scenario) -> Reaper:
    """A reaper that has been in contact for a lease."""
    clock = _Clock()
    reaper = Reaper(scenario.cases.sessions, lease_seconds=3.0, monotonic=clock)
    for _ in range(4):
        await reaper.tick()
        clock.now += 0.99
    return reaper


async def test_registering_checks_its_figures(scenario: Scenario) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await scenario.cases.sessions.register(worker_class="", worker_name="w", slots=0)
    assert {each.field for each in caught.value.violations} == {"worker_class", "slots"}


async def test_a_beat_renews_the_lease(scenario: Scenario) -> None:
    session = await scenario.session()
    await _expire(scenario, session)
    assert await scenario.cases.sessions.beat(session, held=[], free_slots=2) == []
    assert 30 < await _lease(scenario, session) <= 35


async def test_strangers_and_the_dead_do_not_beat(scenario: Scenario) -> None:
    beat = scenario.cases.sessions.beat
    with pytest.raises(NotFound, match="session"):
        await beat(str(uuid.uuid4()), held=[], free_slots=0)
    with pytest.raises(NotFound, match="session"):
        await beat("nonsense", held=[], free_slots=0)
    session = await scenario.session()
    await scenario.cases.sessions.close(session)
    with pytest.raises(WrongState, match="register"):
        await beat(session, held=[], free_slots=0)


async def test_a_lease_that_expires_is_offered_again_once(scenario: Scenario) -> None:
    orchestration, run, session = await scenario.started(count=2)
    identifier = orchestration.orchestration_id
    await _expire(scenario, session)
    reaper = await _ready_reaper(scenario)
    await reaper.tick()
    await reaper.tick()
    requeued = [
        payload
        for _, payload in await scenario.events(identifier)
        if isinstance(payload, TrialRequeued)
    ]
    assert requeued == [
        TrialRequeued(number=number, attempt=1, cause=FailureKind.LOST) for number in (0, 1)
    ]
    with pytest.raises(WrongState):
        await scenario.cases.sessions.beat(session, held=[], free_slots=0)
    other = await scenario.session(name="w2")
    assert len((await scenario.claim(other, run, [0, 1], attempt=1)).trials) == 2
    await scenario.check(identifier)


async def test_a_reaper_without_a_lease_of_contact_reaps_nobody(scenario: Scenario) -> None:
    session = await scenario.session()
    await _expire(scenario, session)
    clock = _Clock()
    reaper = Reaper(scenario.cases.sessions, lease_seconds=3.0, monotonic=clock)
    await reaper.tick()
    clock.now += 0.9
    await reaper.tick()
    # It was frozen: what it knows of contact is worth nothing.
    clock.now += 60
    await reaper.tick()
    await scenario.cases.sessions.beat(session, held=[], free_slots=1)


async def test_a_trial_lost_too_often_fails(scenario: Scenario) -> None:
    orchestration, run, session = await scenario.started(count=1)
    identifier = orchestration.orchestration_id
    lost = scenario.cases.requeueing.lost
    for attempt in range(6):
        if attempt:
            claimed = await scenario.claim(session, run, [0], attempt=attempt)
            assert len(claimed.trials) == 1
        assert await lost(session, [_key(identifier, 0, attempt)]) == 1
    finished = [
        payload
        for _, payload in await scenario.events(identifier)
        if isinstance(payload, TrialFinished)
    ]
    assert [(each.state, each.failure.kind) for each in finished if each.failure] == [
        (TrialState.FAILED, FailureKind.LOST)
    ]
    await scenario.check(identifier)


async def test_the_second_loss_waits_before_it_is_offered_again(scenario: Scenario) -> None:
    orchestration, run, session = await scenario.started(count=1)
    identifier = orchestration.orchestration_id
    await scenario.cases.requeueing.lost(session, [_key(identifier, 0)])
    handed_out = await scenario.cases.hand_outs.hand_out()
    assert [each.batch.trials for each in handed_out.hand_outs] == [((0, 1),)]
    await scenario.claim(session, run, [0], attempt=1)
    await scenario.cases.requeueing.lost(session, [_key(identifier, 0, 1)])
    async with scenario.database.writing() as connection:
        assert await connection.fetchval("SELECT not_before > queued_at FROM crescendo.trials")
        await connection.execute(
            "UPDATE crescendo.trials SET not_before = now() + interval '1 minute'"
        )
    assert (await scenario.cases.hand_outs.hand_out()).hand_outs == ()


async def test_what_two_beats_in_a_row_do_not_hold_is_queued_again(scenario: Scenario) -> None:
    orchestration, _, session = await scenario.started(count=2)
    identifier = orchestration.orchestration_id
    beat = scenario.cases.sessions.beat
    both = [_key(identifier, 0), _key(identifier, 1)]
    await beat(session, held=both[:1], free_slots=1)
    await beat(session, held=both, free_slots=0)
    await beat(session, held=both[:1], free_slots=1)
    await beat(session, held=both, free_slots=0)
    assert (await scenario.cases.runs.orchestration(identifier)).counts.running == 2
    await beat(session, held=both[:1], free_slots=1)
    await beat(session, held=both[:1], free_slots=1)
    shown = await scenario.cases.runs.orchestration(identifier)
    assert (shown.counts.running, shown.counts.queued) == (1, 1)
    await scenario.check(identifier)


async def test_a_beat_is_told_what_to_stop(scenario: Scenario) -> None:
    orchestration, run, session = await scenario.started(count=3)
    identifier = orchestration.orchestration_id
    await scenario.finish(success(identifier, 0))
    await scenario.queue(run.tuning_run_id, 0)
    held = [
        _key(identifier, 0),
        _key(identifier, 1),
        _key(identifier, 2),
        _key(identifier, 9),
        _key("nonsense", 0),
    ]
    orders = await scenario.cases.sessions.beat(session, held=held, free_slots=0)
    assert {each.trial for each in orders} == {held[0], held[3], held[4]}


async def test_closing_a_session_gives_its_trials_back_without_a_strike(
    scenario: Scenario,
) -> None:
    orchestration, _, session = await scenario.started(count=2)
    identifier = orchestration.orchestration_id
    await scenario.finish(success(identifier, 0))
    await scenario.cases.sessions.close(session)
    await scenario.cases.sessions.close(session)
    async with scenario.database.reading() as connection:
        row = await connection.fetchrow(
            "SELECT state, attempt, lost_strikes FROM crescendo.trials WHERE number = 1"
        )
    assert tuple(row) == ("queued", 1, 0)
    with pytest.raises(NotFound):
        await scenario.cases.sessions.close(str(uuid.uuid4()))
    await scenario.check(identifier)


async def test_a_broken_stream_shortens_the_lease_and_a_beat_takes_it_back(
    scenario: Scenario,
) -> None:
    sessions = scenario.cases.sessions
    session = await scenario.session()
    old = await sessions.open_stream(session)
    new = await sessions.open_stream(session)
    await sessions.stream_broke(session, old)
    assert await _lease(scenario, session) > 30
    await sessions.stream_broke(session, new)
    assert await _lease(scenario, session) <= 5
    await sessions.beat(session, held=[], free_slots=0)
    assert await _lease(scenario, session) > 30


async def test_cancelling_reaches_a_listener_within_a_second(scenario: Scenario) -> None:
    orchestration, _, session = await scenario.started(count=2)
    identifier = orchestration.orchestration_id
    received: list[Order] = []

    async def listen() -> None:
        async with aclosing(scenario.cases.orders.listen(session)) as batches:
            async for orders in batches:
                received.extend(orders)

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0)
    await scenario.cases.plans.change(identifier, Change.CANCEL)

    async def told() -> bool:
        return len(received) == 2

    await until(told, seconds=1.0)
    assert {each.trial for each in received} == {_key(identifier, 0), _key(identifier, 1)}
    # A session that ends ends its stream.
    await scenario.cases.sessions.close(session)
    async with asyncio.timeout(2):
        await listening

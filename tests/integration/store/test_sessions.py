"""Sessions: leases, beats, the two-beat rule, orders."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing

import pytest

from services.core.errors import InvalidRequest, NotFound, WrongState
from services.store.adapters.postgres.database import open_database
from services.store.app import use_cases
from services.store.ports.results import Order
from services.store.service.plans import Change
from services.store.settings import StoreSettings
from tests.integration.store.leases import expire, is_open, lease_left
from tests.integration.store.scenario import Scenario, success, trial_key, until


async def test_registering_checks_its_figures(scenario: Scenario) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await scenario.cases.sessions.register(worker_class="", worker_name="w", slots=0)
    assert {each.field for each in caught.value.violations} == {"worker_class", "slots"}


@pytest.mark.parametrize("name", ["gpu a100", "x" * 65, "-gpu", "gpu\n", "größe", "gpu/a100"])
async def test_a_class_that_no_queue_can_be_named_after_is_refused(
    scenario: Scenario, name: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await scenario.session(worker_class=name)
    (violation,) = caught.value.violations
    assert violation.field == "worker_class"
    assert violation.description.startswith(f"{name!r}: use 1 to 64 characters")


async def test_every_class_that_a_queue_can_be_named_after_is_taken(scenario: Scenario) -> None:
    for name in ("gpu", "0", "gpu-a100_80.v2", "x" * 64):
        assert await scenario.session(worker_class=name)


async def test_a_beat_renews_the_lease(scenario: Scenario) -> None:
    session = await scenario.session()
    await expire(scenario, session)
    assert await scenario.cases.sessions.beat(session, held=[], free_slots=2) == []
    assert 15 < await lease_left(scenario, session) <= 35


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


async def _make_old(scenario: Scenario) -> None:
    """Lets what runs have been claimed a while ago."""
    async with scenario.database.writing() as connection:
        await connection.execute(
            "UPDATE crescendo.trials SET started_at = started_at - interval '11 s'"
        )


async def test_what_two_beats_in_a_row_do_not_hold_is_queued_again(scenario: Scenario) -> None:
    orchestration, _, session = await scenario.started(count=2)
    identifier = orchestration.orchestration_id
    await _make_old(scenario)
    beat = scenario.cases.sessions.beat
    both = [trial_key(identifier, 0), trial_key(identifier, 1)]
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


async def test_beats_made_before_a_claim_do_not_take_its_trials_away(scenario: Scenario) -> None:
    orchestration, _, session = await scenario.started(count=2)
    for _ in range(3):
        await scenario.cases.sessions.beat(session, held=[], free_slots=2)
    shown = await scenario.cases.runs.orchestration(orchestration.orchestration_id)
    assert shown.counts.running == 2
    await _make_old(scenario)
    await scenario.cases.sessions.beat(session, held=[], free_slots=2)
    await scenario.cases.sessions.beat(session, held=[], free_slots=2)
    shown = await scenario.cases.runs.orchestration(orchestration.orchestration_id)
    assert shown.counts.queued == 2


async def test_a_beat_that_lists_too_much_is_refused_and_a_long_one_answered(
    scenario: Scenario,
) -> None:
    session = await scenario.session()
    identifier = str(uuid.uuid4())
    held = [trial_key(identifier, number) for number in range(100_001)]
    before = await lease_left(scenario, session)
    with pytest.raises(InvalidRequest, match="at most 100000"):
        await scenario.cases.sessions.beat(session, held=held, free_slots=0)
    assert await lease_left(scenario, session) <= before
    # The same attempt over and over is one.
    orders = await scenario.cases.sessions.beat(session, held=held[:5000] * 30, free_slots=0)
    assert [each.trial for each in orders] == held[:5000]


async def test_a_beat_is_told_what_to_stop(scenario: Scenario) -> None:
    orchestration, run, session = await scenario.started(count=3)
    identifier = orchestration.orchestration_id
    await scenario.finish(success(identifier, 0))
    await scenario.queue(run.tuning_run_id, 0)
    held = [
        trial_key(identifier, 0),
        trial_key(identifier, 1),
        trial_key(identifier, 2),
        trial_key(identifier, 9),
        trial_key("nonsense", 0),
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
    assert await lease_left(scenario, session) > 15
    await sessions.stream_broke(session, new)
    assert await lease_left(scenario, session) <= 5
    await sessions.beat(session, held=[], free_slots=0)
    assert await lease_left(scenario, session) > 15


async def test_a_stream_opened_anew_outlives_what_the_old_one_did(scenario: Scenario) -> None:
    sessions = scenario.cases.sessions
    session = await scenario.session()
    old = await sessions.open_stream(session)
    # The worker was quicker than its old store: it beat elsewhere before that one noticed the break.
    await sessions.beat(session, held=[], free_slots=0)
    await sessions.stream_broke(session, old)
    await sessions.open_stream(session)
    assert await lease_left(scenario, session) > 15


async def test_a_closed_session_never_comes_back(scenario: Scenario) -> None:
    sessions = scenario.cases.sessions
    session = await scenario.session()
    listener = await sessions.open_stream(session)
    await sessions.close(session)
    for again in (
        sessions.beat(session, held=[], free_slots=1),
        sessions.open_stream(session),
    ):
        with pytest.raises(WrongState, match="register"):
            await again
    await sessions.stream_broke(session, listener)
    await sessions.limit_leases()
    assert not await is_open(scenario, session)


async def test_orders_come_through_the_store_that_has_the_stream(
    scenario: Scenario, settings: StoreSettings
) -> None:
    orchestration, _, session = await scenario.started(count=1)
    identifier = orchestration.orchestration_id
    async with open_database(settings.postgres_dsn) as database:
        other = use_cases(settings, database)
        # Beats and cancellations come in through one store, the stream is at the other.
        polling = asyncio.create_task(other.orders.run())
        async with aclosing(other.orders.listen(session)) as batches:
            listening = asyncio.create_task(anext(batches))
            await asyncio.sleep(0)
            await scenario.cases.sessions.beat(
                session, held=[trial_key(identifier, 0)], free_slots=1
            )
            await scenario.cases.plans.change(identifier, Change.CANCEL)
            async with asyncio.timeout(60):
                orders = await listening
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)
    assert [each.trial for each in orders] == [trial_key(identifier, 0)]


async def test_a_stream_ends_when_the_worker_listens_anew_and_when_the_store_drains(
    scenario: Scenario,
) -> None:
    orders = scenario.cases.orders

    async def listen() -> list[list[Order]]:
        async with aclosing(orders.listen("session")) as batches:
            return [each async for each in batches]

    first = asyncio.create_task(listen())
    await asyncio.sleep(0)
    second = asyncio.create_task(listen())
    async with asyncio.timeout(60):
        assert await first == []
        orders.drain()
        assert await second == []
        # One that comes too late is not left waiting.
        assert await listen() == []


async def test_cancelling_reaches_a_listener(scenario: Scenario) -> None:
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

    await until(told)
    assert {each.trial for each in received} == {trial_key(identifier, 0), trial_key(identifier, 1)}
    # A session that ends ends its stream.
    await scenario.cases.sessions.close(session)
    async with asyncio.timeout(60):
        await listening

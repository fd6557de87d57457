"""The reaper: whose lease it trusts to have expired, and what it does not let stop it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest

from services.core.errors import Unavailable, WrongState
from services.core.event import TrialRequeued
from services.core.trial import FailureKind
from services.store.adapters.postgres.database import open_database
from services.store.adapters.postgres.workforce import PostgresSessions
from services.store.app import use_cases
from services.store.service.reaper import Reaper
from services.store.service.sessions import Sessions
from services.store.settings import StoreSettings
from tests.integration.store.leases import expire, is_open, lease_left
from tests.integration.store.scenario import Scenario, until


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class _Watched(Sessions):
    """The sessions of a scenario, the database's clock as told here; some cannot be settled."""

    def __init__(self, scenario: Scenario, clock: _Clock) -> None:
        super().__init__(
            PostgresSessions(scenario.database),
            scenario.cases.requeueing,
            lease_seconds=3.0,
            beat_seconds=1.0,
        )
        self.database_ahead = 0.0
        self.slow = 0.0
        self.broken: dict[str, Exception] = {}
        self._clock = clock

    async def clock(self) -> datetime:
        """Gives the time told, after as long as it takes."""
        self._clock.now += self.slow
        return datetime.fromtimestamp(self._clock.now + self.database_ahead, UTC)

    async def settle(self, session_id: str, *, lost: bool) -> None:
        """Settles, or fails."""
        if session_id in self.broken:
            raise self.broken[session_id]
        await super().settle(session_id, lost=lost)


async def _ready_reaper(scenario: Scenario) -> tuple[Reaper, _Clock, _Watched]:
    """A reaper that has been in contact for a lease all but a moment."""
    clock = _Clock()
    sessions = _Watched(scenario, clock)
    reaper = Reaper(sessions, lease_seconds=3.0, monotonic=clock)
    for _ in range(4):
        await reaper.tick()
        clock.now += 0.99
    return reaper, clock, sessions


async def test_a_lease_that_expires_is_offered_again_once(scenario: Scenario) -> None:
    orchestration, run, session = await scenario.started(count=2)
    identifier = orchestration.orchestration_id
    await expire(scenario, session)
    reaper, _, _ = await _ready_reaper(scenario)
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
    await expire(scenario, session)
    clock = _Clock()
    reaper = Reaper(_Watched(scenario, clock), lease_seconds=3.0, monotonic=clock)
    for _ in range(3):
        await reaper.tick()
        clock.now += 0.99
    assert await is_open(scenario, session)
    # It was frozen: what it knows of contact is worth nothing.
    clock.now += 60
    for _ in range(4):
        await reaper.tick()
        assert await is_open(scenario, session)
        clock.now += 0.99
    await reaper.tick()
    assert not await is_open(scenario, session)


@pytest.mark.parametrize("lease_seconds", [1.0, 3.0])
async def test_the_shortest_leases_are_reaped_as_well(
    scenario: Scenario, lease_seconds: float
) -> None:
    session = await scenario.session()
    await expire(scenario, session)
    reaping = asyncio.create_task(
        Reaper(scenario.cases.sessions, lease_seconds=lease_seconds).run()
    )

    async def ended() -> bool:
        return not await is_open(scenario, session)

    # It takes a lease without a third of it in silence: on a busy machine there is one in a while.
    await until(ended, seconds=240)
    reaping.cancel()


async def test_an_answer_that_took_long_is_no_contact(scenario: Scenario) -> None:
    session = await scenario.session()
    reaper, _, sessions = await _ready_reaper(scenario)
    await expire(scenario, session)
    # The database stood still and went on: nobody could beat meanwhile.
    sessions.slow = 1.5
    await reaper.tick()
    sessions.slow = 0.0
    await reaper.tick()
    assert await is_open(scenario, session)


@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
async def test_a_jump_of_the_database_clock_is_no_reason_to_reap(
    scenario: Scenario, seconds: float
) -> None:
    session = await scenario.session()
    reaper, clock, sessions = await _ready_reaper(scenario)
    async with scenario.database.writing() as connection:
        # A lease from before the clock was set back.
        await connection.execute(
            "UPDATE crescendo.sessions SET lease_until = crescendo.now() + interval '1 hour'"
        )
    sessions.database_ahead = seconds
    await reaper.tick()
    assert 0 < await lease_left(scenario, session) <= 3
    await expire(scenario, session)
    for _ in range(3):
        await reaper.tick()
        assert await is_open(scenario, session)
        clock.now += 0.9
    clock.now += 0.05
    await reaper.tick()
    assert await is_open(scenario, session)
    clock.now += 0.9
    await reaper.tick()
    assert not await is_open(scenario, session)


@pytest.mark.parametrize("error", [Unavailable("locked"), RuntimeError("unforeseen")])
async def test_a_session_that_cannot_be_settled_does_not_stop_others(
    scenario: Scenario, error: Exception
) -> None:
    orchestration, run, session = await scenario.started(count=1)
    # Whatever order the database lists them in, one of these comes first.
    broken = [await scenario.session(name=f"broken{place}") for place in range(4)]
    reaper, _, sessions = await _ready_reaper(scenario)
    sessions.broken = dict.fromkeys(broken, error)
    for each in (*broken, session):
        await expire(scenario, each)
    await reaper.tick()
    shown = await scenario.cases.runs.orchestration(orchestration.orchestration_id)
    assert (shown.counts.running, shown.counts.queued) == (0, 1)
    assert {each for each, _ in await sessions.unsettled()} == set(broken)
    # Contact stands: what was lost meanwhile is found too, and the broken ones once they can be settled.
    sessions.broken = {}
    await reaper.tick()
    assert await sessions.unsettled() == []
    other = await scenario.session(name="w2")
    assert len((await scenario.claim(other, run, [0], attempt=1)).trials) == 1


async def test_a_session_is_settled_once_by_many_replicas(
    scenario: Scenario, settings: StoreSettings
) -> None:
    orchestration, _, session = await scenario.started(count=3)
    await expire(scenario, session)
    await scenario.cases.sessions.end_expired()
    async with open_database(settings.postgres_dsn) as database:
        other = use_cases(settings, database)
        await asyncio.gather(
            *(
                each.sessions.settle(session, lost=True)
                for each in (scenario.cases, other, scenario.cases, other)
            )
        )
    async with scenario.database.reading() as connection:
        rows = await connection.fetch("SELECT state, attempt, lost_strikes FROM crescendo.trials")
    assert [tuple(row) for row in rows] == [("queued", 1, 1)] * 3
    await scenario.check(orchestration.orchestration_id)


async def test_an_orchestration_that_cannot_be_changed_does_not_hold_the_trials_of_others(
    scenario: Scenario,
) -> None:
    session = await scenario.session(slots=2)
    orchestrations = [await scenario.start(planned=1) for _ in range(2)]
    for each in orchestrations:
        (run,) = each.stages[0].tuning_runs
        await scenario.queue(run.tuning_run_id, 1)
        await scenario.claim(session, run, [0])
    bad, good = sorted(each.orchestration_id for each in orchestrations)
    async with scenario.database.writing() as connection:
        # A counter that is wrong: the row's constraint refuses what follows from it.
        await connection.execute(
            "UPDATE crescendo.orchestrations SET running = 0 WHERE orchestration_id = $1", bad
        )
    with pytest.raises(asyncpg.CheckViolationError):
        await scenario.cases.sessions.close(session)
    shown = await scenario.cases.runs.orchestration(good)
    assert (shown.counts.running, shown.counts.queued) == (0, 1)

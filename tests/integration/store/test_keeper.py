"""The keeper: waits for busy searches, tells of missing workers once."""

from __future__ import annotations

import asyncio

from services.core.budget import Budget
from services.core.event import Notice
from services.core.plan import LifecycleState
from services.store.adapters.postgres.keeping import PostgresDue
from services.store.adapters.postgres.transaction import PostgresStorage
from services.store.service.keeper import Keeper
from tests.integration.store.clock import Clock
from tests.integration.store.scenario import Scenario, until

STATE = LifecycleState


async def test_the_keeper_waits_for_a_busy_search_instead_of_passing_by(
    scenario: Scenario,
) -> None:
    orchestration, _, _ = await scenario.started(planned=9, budget=Budget(max_seconds=1000))
    async with scenario.database.writing() as connection:
        await connection.execute("UPDATE crescendo.orchestrations SET deadline_at = created_at")
    async with scenario.database.writing() as connection:
        await connection.execute("SELECT FROM crescendo.orchestrations FOR UPDATE")
        tick = asyncio.create_task(scenario.cases.keeper.tick())

        async def waits() -> bool:
            async with scenario.database.reading() as other:
                found: bool = await other.fetchval(
                    "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
                )
            return found

        await until(waits)
    await tick
    ended = await scenario.cases.runs.orchestration(orchestration.orchestration_id)
    assert (ended.state, ended.reason) == (STATE.FAILED, "DEADLINE_REACHED")


class Steps:
    """A monotonic clock that goes on by some seconds per look at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 2.5
        return self.now


async def test_missing_workers_are_told_of_once_until_they_come_back(
    clock: Clock, scenario: Scenario
) -> None:
    orchestration = await scenario.start(planned=9)
    identifier = orchestration.orchestration_id
    (run,) = orchestration.stages[0].tuning_runs
    await scenario.queue(run.tuning_run_id, 2)
    keeper = Keeper(
        PostgresDue(scenario.database),
        PostgresStorage(scenario.database),
        scenario.cases.feed,
        lease_seconds=35,
        monotonic=Steps(),
    )

    async def notices() -> list[str]:
        await keeper.tick()
        return [
            payload.reason
            for _, payload in await scenario.events(identifier)
            if isinstance(payload, Notice)
        ]

    await clock.advance(100)
    # After an outage every lease looks ended: workers get the time of one to come back.
    for _ in range(7):
        assert await notices() == []
    async with scenario.database.writing() as connection:
        await connection.execute(
            "UPDATE crescendo.orchestrations SET active_since = crescendo.now()"
        )
    assert await notices() == []
    await clock.advance(14)
    assert await notices() == []
    await clock.advance(1)
    assert await notices() == ["NO_WORKERS"]
    await clock.advance(100)
    assert await notices() == ["NO_WORKERS"]
    session = await scenario.session()
    assert await notices() == ["NO_WORKERS", "WORKERS_BACK"]
    await scenario.cases.sessions.close(session)
    await clock.advance(14)
    assert await notices() == ["NO_WORKERS", "WORKERS_BACK"]
    await clock.advance(2)
    assert await notices() == ["NO_WORKERS", "WORKERS_BACK", "NO_WORKERS"]
    await scenario.check(identifier)

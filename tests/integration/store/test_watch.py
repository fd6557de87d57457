"""Watching: every event once and in order, from any point, to the final one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import pytest

from services.core.errors import CursorOutOfRange, InvalidRequest, NotFound, Unavailable
from services.store.adapters.postgres.database import Database
from services.store.app import UseCases, use_cases
from services.store.service.watch import Bookmark, Page, Part, Snapshot
from services.store.settings import StoreSettings
from tests.integration.store.scenario import Scenario, success, until


async def _collect(cases: UseCases, identifier: str, after: int | None) -> list[Part]:
    async with aclosing(cases.watching.watch(identifier, after_sequence=after)) as parts:
        return [part async for part in parts]


def _sequences(parts: list[Part]) -> list[int]:
    return [event.sequence for part in parts if isinstance(part, Page) for event in part.events]


def _following(cases: UseCases) -> Callable[[], Awaitable[bool]]:
    """A condition: somebody follows a log here."""

    async def followed() -> bool:
        return bool(cases.feed.watched)

    return followed


async def _run_to_the_end(scenario: Scenario, identifier: str, trials: int) -> None:
    orchestration = await scenario.cases.runs.orchestration(identifier)
    run = orchestration.stages[0].tuning_runs[0]
    session = await scenario.session()
    for number in range(trials):
        await scenario.queue(run.tuning_run_id, 1, first=number)
        await scenario.claim(session, run, [number])
        await scenario.finish(success(identifier, number, 0.1 * number))
    await scenario.close(orchestration, run)


async def test_a_watcher_from_the_start_and_one_from_5_see_the_same_from_6_on(
    scenario: Scenario,
) -> None:
    orchestration = await scenario.start(planned=20)
    identifier = orchestration.orchestration_id
    from_start = asyncio.create_task(_collect(scenario.cases, identifier, 0))
    working = asyncio.create_task(_run_to_the_end(scenario, identifier, 20))
    await scenario.watched_until(identifier, 5)
    from_five = asyncio.create_task(_collect(scenario.cases, identifier, 5))
    async with asyncio.timeout(60):
        await working
        everything, rest = await asyncio.gather(from_start, from_five)
    last = (await scenario.cases.runs.orchestration(identifier)).last_sequence
    assert _sequences(everything) == list(range(1, last + 1))
    assert _sequences(rest) == list(range(6, last + 1))
    encoded = {
        event.sequence: event.encoded
        for part in everything
        if isinstance(part, Page)
        for event in part.events
    }
    for part in rest:
        if isinstance(part, Page):
            assert all(encoded[event.sequence] == event.encoded for event in part.events)


async def test_resuming_at_every_sequence_gives_exactly_what_follows(scenario: Scenario) -> None:
    orchestration = await scenario.start(planned=4)
    identifier = orchestration.orchestration_id
    await _run_to_the_end(scenario, identifier, 4)
    last = (await scenario.cases.runs.orchestration(identifier)).last_sequence
    async with asyncio.timeout(60):
        for cursor in range(last + 1):
            assert await scenario.watched(identifier, cursor) == list(range(cursor + 1, last + 1))


async def test_a_watch_without_cursor_starts_with_a_snapshot(scenario: Scenario) -> None:
    orchestration = await scenario.start(planned=2)
    identifier = orchestration.orchestration_id
    watching = asyncio.create_task(_collect(scenario.cases, identifier, None))
    await _run_to_the_end(scenario, identifier, 2)
    async with asyncio.timeout(60):
        first, *rest = await watching
    assert isinstance(first, Snapshot)
    last = (await scenario.cases.runs.orchestration(identifier)).last_sequence
    assert _sequences(rest) == list(range(first.orchestration.last_sequence + 1, last + 1))


async def test_a_snapshot_of_what_has_ended_is_all_there_is(scenario: Scenario) -> None:
    orchestration = await scenario.start(planned=1)
    identifier = orchestration.orchestration_id
    await _run_to_the_end(scenario, identifier, 1)
    async with asyncio.timeout(60):
        (only,) = await _collect(scenario.cases, identifier, None)
    assert isinstance(only, Snapshot)


async def test_cursors_outside_the_log_are_refused(scenario: Scenario) -> None:
    orchestration = await scenario.start()
    identifier = orchestration.orchestration_id
    last = orchestration.last_sequence
    with pytest.raises(CursorOutOfRange) as caught:
        await _collect(scenario.cases, identifier, last + 1)
    assert caught.value.reason == "CURSOR_AHEAD"
    assert caught.value.metadata["last_sequence"] == str(last)
    with pytest.raises(InvalidRequest):
        await _collect(scenario.cases, identifier, -1)
    for unknown in ("nonsense", str(uuid.uuid4())):
        for after in (None, 0):
            with pytest.raises(NotFound):
                await _collect(scenario.cases, unknown, after)


async def test_changes_through_another_replica_are_seen(
    scenario: Scenario, settings: StoreSettings, database: Database
) -> None:
    orchestration = await scenario.start(planned=3)
    identifier = orchestration.orchestration_id
    other = use_cases(settings, database)
    polling = asyncio.create_task(other.feed.run())
    try:
        watching = asyncio.create_task(_collect(other, identifier, 0))
        await _run_to_the_end(scenario, identifier, 3)
        async with asyncio.timeout(60):
            parts = await watching
    finally:
        polling.cancel()
    last = (await scenario.cases.runs.orchestration(identifier)).last_sequence
    assert _sequences(parts) == list(range(1, last + 1))


async def test_a_quiet_watch_says_that_it_lives(
    scenario: Scenario, settings: StoreSettings, database: Database
) -> None:
    orchestration = await scenario.start()
    quick = StoreSettings(
        postgres_dsn=settings.postgres_dsn, bookmark_seconds=0.05, watch_poll_seconds=0.05
    )
    cases = use_cases(quick, database)
    polling = asyncio.create_task(cases.feed.run())
    watch = cases.watching.watch(
        orchestration.orchestration_id, after_sequence=orchestration.last_sequence
    )
    try:
        async with asyncio.timeout(60), aclosing(watch):
            bookmark = await anext(watch)
    finally:
        polling.cancel()
    assert isinstance(bookmark, Bookmark)
    assert bookmark.sequence == orchestration.last_sequence


async def test_draining_ends_watches(scenario: Scenario, cases: UseCases) -> None:
    orchestration = await scenario.start()
    last = orchestration.last_sequence
    watching = asyncio.create_task(_collect(cases, orchestration.orchestration_id, last))
    await until(_following(cases))
    cases.feed.drain()
    async with asyncio.timeout(60):
        with pytest.raises(Unavailable) as caught:
            await watching
    assert caught.value.reason == "DRAINING"
    assert caught.value.metadata["last_sequence"] == str(last)


async def test_a_hundred_watchers_see_the_same(scenario: Scenario) -> None:
    orchestration = await scenario.start(planned=10)
    identifier = orchestration.orchestration_id
    watchers = [
        asyncio.create_task(_collect(scenario.cases, identifier, place % 4)) for place in range(100)
    ]
    await _run_to_the_end(scenario, identifier, 10)
    last = (await scenario.cases.runs.orchestration(identifier)).last_sequence
    async with asyncio.timeout(60):
        for place, parts in enumerate(await asyncio.gather(*watchers)):
            assert _sequences(parts) == list(range(place % 4 + 1, last + 1))

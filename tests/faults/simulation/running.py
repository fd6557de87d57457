"""Runs worlds one after another on a database of their own."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import structlog
import uvloop

from services.store.migrate import migrate
from testbed.databases import PostgresServer, random_database
from tests.faults.simulation.database import FaultyDatabase, faulty_database
from tests.faults.simulation.world import World, prepare

# Deleted rows are left where they are; now and then their room is given back.
_THOROUGH_EVERY = 50


async def run_seed(database: FaultyDatabase, seed: int, *, thoroughly: bool = False) -> World:
    """Runs one world on an emptied database. Raises: Violation."""
    await database.empty(thoroughly=thoroughly)
    world = World(seed, database)
    await world.run()
    return world


def be_quiet() -> None:
    """Lets the store's log say nothing: faults are what worlds are made of."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


async def _run_share(dsn: str, seeds: Sequence[int]) -> list[tuple[int, str]]:
    failed: list[tuple[int, str]] = []
    began = time.monotonic()
    await migrate(dsn)
    async with faulty_database(dsn) as database:
        await prepare(database)
        for place, seed in enumerate(seeds):
            try:
                await run_seed(database, seed, thoroughly=place % _THOROUGH_EVERY == 0)
            except Exception as error:  # noqa: BLE001 (each is reported, and the others go on)
                failed.append((seed, f"{type(error).__name__}: {error}"))
                print(f"seed {seed} FAILED: {type(error).__name__}: {error}", flush=True)
                print(f"  replay: make simulate SEED={seed}", flush=True)
            if (place + 1) % 100 == 0:
                rate = (place + 1) / (time.monotonic() - began)
                print(f"{place + 1} of {len(seeds)} worlds, {rate:.1f}/s", flush=True)
    return failed


def run_share(dsn: str, seeds: Sequence[int]) -> list[tuple[int, str]]:
    """Runs worlds in a database made for them. Returns: the seeds that failed, and why."""
    be_quiet()
    with random_database(PostgresServer(dsn=dsn, description="")) as own:
        return uvloop.run(_run_share(own, seeds))

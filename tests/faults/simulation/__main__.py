"""Runs many simulated worlds: `python -m tests.faults.simulation --seeds 5000`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from services.store.migrate import migrate
from testbed.databases import find_postgres, random_database, wheel_postgres
from tests.faults.simulation.database import faulty_database
from tests.faults.simulation.running import be_quiet, run_share
from tests.faults.simulation.world import World, prepare


async def _replay(dsn: str, seed: int) -> int:
    await migrate(dsn)
    async with faulty_database(dsn) as database:
        await prepare(database)
        await database.empty(thoroughly=True)
        world = World(seed, database)
        error: Exception | None = None
        try:
            await world.run()
        except Exception as raised:  # noqa: BLE001 (shown at the end of the history)
            error = raised
        for each in world.history:
            print(
                f"{each.moment:9.3f} {each.caller:>8} → {each.replica:3} {each.call}"
                + (f"  ⇒ {each.outcome}" if each.outcome else "")
            )
        print(f"digest {world.digest}")
        print(f"{type(error).__name__}: {error}" if error else "every promise was kept")
        return 1 if error else 0


def main() -> int:
    """Runs what the command line asks for. Returns: the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many worlds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="how many processes")
    parser.add_argument("--seed", type=int, help="replays one seed and shows its history")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        server = find_postgres() or stack.enter_context(wheel_postgres())
        if options.seed is not None:
            be_quiet()
            with random_database(server) as dsn:
                return asyncio.run(_replay(dsn, options.seed))
        began = time.monotonic()
        seeds = range(options.first, options.first + options.seeds)
        shares = [(server.dsn, seeds[place :: options.jobs]) for place in range(options.jobs)]
        with ProcessPoolExecutor(
            options.jobs, mp_context=multiprocessing.get_context("spawn")
        ) as pool:
            done = pool.map(run_share, *zip(*shares, strict=True))
            failed = [each for share in done for each in share]
        seconds = time.monotonic() - began
        print(f"{len(seeds)} worlds in {seconds:.0f} s ({len(seeds) / seconds:.1f}/s)")
        for seed, words in sorted(failed):
            print(f"seed {seed}: {words}\n  replay: make simulate SEED={seed}")
        print(f"{len(failed)} failed" if failed else "every promise was kept in all of them")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

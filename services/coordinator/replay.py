"""Derives a search's points again: `python -m services.coordinator.replay ORCHESTRATION`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator, Sequence

from services.common.rpc.client import open_channel
from services.common.settings import SettingsError, load
from services.coordinator.adapters.searchers.registry import make_searcher
from services.coordinator.adapters.store_client import StoreClient
from services.coordinator.service.replaying import RunReplay, replay
from services.coordinator.settings import CoordinatorSettings
from services.core.errors import CrescendoError

_ABOUT = """\
Derives the parameters of every trial of a search again, from its seeds and its event log, and says
whether they are those that ran. Reads from the store at CRESCENDO_STORE_ADDRESS and changes nothing.
Status: 0 if all are equal, 1 if some are not, 2 if the search cannot be read.
"""
# Differences that are shown; one is enough to know, and the first ones say most.
_SHOWN = 5


def main(arguments: Sequence[str]) -> int:
    """Replays one search and prints a line for each of its tuning runs."""
    parser = argparse.ArgumentParser(
        prog="python -m services.coordinator.replay", description=_ABOUT
    )
    parser.add_argument("orchestration", help="its id")
    wanted = parser.parse_args(arguments)
    try:
        settings = load(CoordinatorSettings, os.environ)
        runs = asyncio.run(_replay(settings.store_address, wanted.orchestration))
    except (SettingsError, CrescendoError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for line in described(runs):
        sys.stdout.write(f"{line}\n")
    return 1 if any(each.differences for each in runs) else 0


async def _replay(store_address: str, orchestration_id: str) -> list[RunReplay]:
    async with open_channel(store_address) as channel:
        # All that is read is public, watches too.
        store = StoreClient(public=channel, internal=channel)
        return await replay(store, orchestration_id, make_searcher)


def described(runs: Sequence[RunReplay]) -> Iterator[str]:
    """Says in words what came of a replay."""
    if not runs:
        yield "no trial has been made yet"
    for each in runs:
        title = f"stage {each.run.stage_index}, {each.run.model_type}, {each.run.method}"
        if each.fell_back_at is not None:
            title += f", {each.run.method_used} from trial {each.fell_back_at} on"
        if not each.differences:
            yield f"{title}: {each.trials} trials derived again, all equal"
            continue
        yield f"{title}: {len(each.differences)} of {each.trials} trials differ"
        for one in each.differences[:_SHOWN]:
            yield f"  trial {one.number} ran {one.stored}, derived {one.derived}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What the trials of a tuning run have in common, fetched once."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict

import structlog

from services.core.errors import Unavailable
from services.worker.ports import Datasets, Preparation, TrialStore
from services.worker.service.backoff import Backoff

logger = structlog.get_logger()

_KEPT = 64
_PATIENCE_SECONDS = 300.0


class Preparations:
    """Keeps the specs and dataset folders of the tuning runs used last.

    Args:
        patience_seconds: how long to try while the store cannot be reached.
    """

    def __init__(
        self, store: TrialStore, datasets: Datasets, *, patience_seconds: float = _PATIENCE_SECONDS
    ) -> None:
        self._store = store
        self._datasets = datasets
        self._patience_seconds = patience_seconds
        self._kept: OrderedDict[str, asyncio.Task[Preparation]] = OrderedDict()

    async def get(self, tuning_run_id: str) -> Preparation:
        """Gives a tuning run's preparation, fetching it on first use.

        Raises: CrescendoError, DatasetError, OSError: it cannot be had; the next call tries again.
        """
        task = self._kept.get(tuning_run_id)
        if task is None:
            task = asyncio.create_task(self._fetch(tuning_run_id))
            task.add_done_callback(_consume)
            self._kept[tuning_run_id] = task
            self._make_room()
        self._kept.move_to_end(tuning_run_id)
        try:
            # Shielded: one cancelled trial must not take the download from all others.
            return await asyncio.shield(task)
        except Exception:
            if self._kept.get(tuning_run_id) is task:
                del self._kept[tuning_run_id]
            raise

    async def close(self) -> None:
        """Stops what is under way."""
        tasks = tuple(self._kept.values())
        self._kept.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _make_room(self) -> None:
        for key in [key for key, task in self._kept.items() if task.done()]:
            if len(self._kept) <= _KEPT:
                return
            del self._kept[key]

    async def _fetch(self, tuning_run_id: str) -> Preparation:
        deadline = time.monotonic() + self._patience_seconds
        backoff = Backoff(first=0.2)
        while True:
            try:
                run = await self._store.evaluation_spec(tuning_run_id)
                spec = run.evaluation
                folder = await self._datasets.folder(spec.dataset_id, spec.dataset_hash)
            except Unavailable as error:
                if time.monotonic() > deadline:
                    raise
                logger.warning(
                    "cannot prepare a tuning run; trying again",
                    tuning_run_id=tuning_run_id,
                    error=str(error),
                )
                await asyncio.sleep(backoff.next_delay())
                continue
            return Preparation(key=tuning_run_id, spec=spec, dataset=folder, pruning=run.pruning)


def _consume(task: asyncio.Task[Preparation]) -> None:
    # Those who waited have the exception already; when all were cancelled nobody is left to want it.
    if not task.cancelled():
        task.exception()

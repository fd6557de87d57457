"""Retention: what is removed, and when.

- Events of an orchestration, `days` after it ended, and with them what its trials came to step by step and
  what each of their attempts cost. Its results (trials, scores, refinements) and the sum of its costs stay.
- Request ids, after as long: a request that is repeated later counts as a new one.
- Sessions of workers that are gone, after a week.

Every replica does this; steps are small, and two replicas at the same log only take turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from services.core.errors import Unavailable
from services.store.ports.retention import EndedLog, Forgotten, RetentionStore

logger = structlog.get_logger()

_DAY_SECONDS = 86_400.0
_SESSION_DAYS = 7.0
# However short logs are kept, a client may repeat a request whose answer it lost.
_LEAST_REQUEST_DAYS = 1.0
_LOGS = 100
_ROWS = 1_000
_FIRST_RETRY_SECONDS = 1.0


def retry_seconds(failures: int, *, longest: float) -> float:
    """Says how long to wait after so many failures in a row, ≥ 1: twice as long each time.

    Args:
        longest: what it grows to, in seconds.
    """
    # However long a database is away, the power stays a number.
    return min(longest, _FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 64))


class Retention:
    """Removes what is old; see the module.

    Args:
        days: how long events are kept after the end; 0 keeps events and request ids for ever.
        sweep_seconds: between two sweeps; after one that failed the next comes sooner.
        pause_seconds: between two steps, so that other work goes first.
    """

    def __init__(
        self,
        store: RetentionStore,
        *,
        days: float,
        sweep_seconds: float = 600.0,
        pause_seconds: float = 0.05,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._seconds = days * _DAY_SECONDS
        self._sweep_seconds = sweep_seconds
        self._pause_seconds = pause_seconds
        self._sleep = sleep

    async def run(self) -> None:
        """Sweeps for as long as it is not cancelled."""
        failures = 0
        while True:
            wait = self._sweep_seconds
            try:
                await self.sweep()
                failures = 0
            except Unavailable as error:
                failures += 1
                wait = retry_seconds(failures, longest=self._sweep_seconds)
                logger.warning(
                    "cannot remove what is old",
                    reason=error.reason,
                    retry_seconds=wait,
                    limit_seconds=10,
                )
            await self._sleep(wait)

    async def sweep(self) -> int:
        """Removes everything that is old enough. Returns: how many events were removed. Raises: Unavailable."""
        events = 0
        if self._seconds > 0:
            events = await self._sweep_logs()
            age = max(self._seconds, _LEAST_REQUEST_DAYS * _DAY_SECONDS)
            await self._repeat(
                lambda: self._store.forget_requests(older_than_seconds=age, limit=_ROWS)
            )
        await self._repeat(
            lambda: self._store.forget_sessions(
                ended_before_seconds=_SESSION_DAYS * _DAY_SECONDS, limit=_ROWS
            )
        )
        return events

    async def _sweep_logs(self) -> int:
        last: EndedLog | None = None
        total = 0
        while True:
            logs = await self._store.ended_before(self._seconds, after=last, limit=_LOGS)
            for log in logs:
                events = await self._forget_log(log.orchestration_id)
                if events:
                    logger.info(
                        "events removed", orchestration_id=log.orchestration_id, events=events
                    )
                total += events
                last = log
            if len(logs) < _LOGS:
                return total

    async def _forget_log(self, orchestration_id: str) -> int:
        # The events last: only what still has some is looked at again after a sweep that was cut short.
        for forget in (
            self._store.forget_steps,
            self._store.forget_costs,
            self._store.forget_events,
        ):
            removed = await self._repeat(
                partial(forget, orchestration_id, ended_before_seconds=self._seconds, limit=_ROWS)
            )
        return removed

    async def _repeat(self, step: Callable[[], Awaitable[Forgotten]]) -> int:
        total = 0
        while True:
            forgotten = await step()
            total += forgotten.count
            if not forgotten.more:
                return total
            await self._sleep(self._pause_seconds)

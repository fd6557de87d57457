"""Looks at the broker's queues: how much waits there, and whether anything had to be given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from services.common.messaging.port import Broker
from services.coordinator.adapters import metrics
from services.core.errors import Unavailable
from services.core.queue_naming import problem_of_worker_class

logger = structlog.get_logger()

_LOOK_SECONDS = 5.0


class QueueWatch:
    """Measures queues, and raises the alarm when messages become dead letters.

    A dead letter costs nobody a trial, which is handed out again; but it says that somebody publishes
    what nobody understands, or that workers keep failing on it.

    Args:
        classes: the worker classes whose queues to measure.
    """

    def __init__(self, broker: Broker, classes: Callable[[], Sequence[str]]) -> None:
        self._broker = broker
        self._classes = classes
        self._dead = 0

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Looks once; a broker that is away is waited for."""
        metrics.BROKER_CONNECTED.set(self._broker.is_connected)
        if not self._broker.is_connected:
            return
        try:
            self._judge(await self._broker.dead_letters())
            depths = {each: await self._broker.depth(each) for each in self._named()}
        except Unavailable as error:
            logger.debug("queues not measured", error=str(error))
            return
        metrics.QUEUE_DEPTH.clear()
        for worker_class, depth in depths.items():
            metrics.QUEUE_DEPTH.labels(worker_class=worker_class).set(depth)

    def _named(self) -> list[str]:
        """Lists the classes that have a queue: one name that cannot be asked for hides no other."""
        problems = {each: problem_of_worker_class(each) for each in self._classes()}
        wrong = sorted(problem for problem in problems.values() if problem is not None)
        if wrong:
            logger.warning(
                "worker classes without a queue are not measured", problems=wrong, limit_seconds=60
            )
        return [each for each, problem in problems.items() if problem is None]

    def _judge(self, dead: int) -> None:
        metrics.DEAD_LETTERS.set(dead)
        more, self._dead = dead - self._dead, dead
        if more > 0:
            metrics.DEAD_LETTERED.inc(more)
            logger.error(
                "messages became dead letters; look at them and remove them from their queue",
                new=more,
                waiting=dead,
            )

"""The evaluator port on child processes: as many as there are slots, each replaced when it dies."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

import structlog

from services.common.convert.objectives import evaluation_to_proto
from services.core.space import Assignment
from services.core.trial import Failure, FailureKind
from services.worker.adapters.evaluation.process import Child, start_child
from services.worker.ports import Evaluation, Preparation
from tuning.v1 import evaluation_messages_pb2 as pb

logger = structlog.get_logger()

_KEPT_PREPARATIONS = 64


class ChildPool:
    """Evaluates in children; nothing they do hurts this process or one another.

        async with ChildPool(slots) as pool: await pool.evaluate(...)

    Entering starts the children without waiting for them.
    """

    def __init__(self, slots: int) -> None:
        self._free: list[asyncio.Task[Child]] = []
        self._slots = slots
        self._available = asyncio.Semaphore(slots)
        self._prepares: OrderedDict[str, bytes] = OrderedDict()
        self._endings: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        self._free = [asyncio.create_task(start_child()) for _ in range(self._slots)]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends all children, busy ones too."""
        self._closed = True
        starting, self._free = self._free, []
        for task in starting:
            task.cancel()
        children = await asyncio.gather(*starting, return_exceptions=True)
        await asyncio.gather(*(each.close() for each in children if isinstance(each, Child)))
        await asyncio.gather(*self._endings)

    async def evaluate(
        self,
        preparation: Preparation,
        parameters: Assignment,
        *,
        timeout_seconds: float | None,
        on_split: Callable[[int, float], None],
    ) -> Evaluation:
        """Evaluates one assignment in a child that is free, preferably one that is prepared for it."""
        prepare = self._prepare(preparation)
        try:
            async with self._child(prepare) as child:
                return await child.evaluate(
                    prepare, parameters, timeout_seconds=timeout_seconds, on_split=on_split
                )
        except OSError as error:
            logger.error("no child process can be started", exc_info=error)
            return Evaluation(
                failure=Failure(
                    kind=FailureKind.INFRA,
                    message="the worker cannot start a process for the trial",
                )
            )

    @asynccontextmanager
    async def _child(self, prepare: bytes) -> AsyncIterator[Child]:
        async with self._available:
            starting = self._take(prepare)
            child: Child | None = None
            idle = False
            try:
                # Shielded: a trial that is cancelled must not take a starting child with it.
                child = await asyncio.shield(starting)
                if not child.is_alive:
                    # It died while idle; no trial is to blame.
                    await child.kill()
                    child = None
                    starting = asyncio.create_task(start_child())
                    child = await asyncio.shield(starting)
                yield child
                idle = child.is_alive
            finally:
                failed = starting.done() and starting.exception() is not None
                if self._closed or failed or (child is not None and not idle):
                    self._retire(starting)
                else:
                    self._free.append(starting)

    def _take(self, prepare: bytes) -> asyncio.Task[Child]:
        for index, task in enumerate(self._free):
            if task.done() and not task.exception() and task.result().prepared == prepare:
                return self._free.pop(index)
        ready = [index for index, task in enumerate(self._free) if task.done()]
        return self._free.pop(ready[0] if ready else 0)

    def _retire(self, starting: asyncio.Task[Child]) -> None:
        ending = asyncio.create_task(_end(starting))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        if not self._closed:
            self._free.append(asyncio.create_task(start_child()))

    def _prepare(self, preparation: Preparation) -> bytes:
        prepare = self._prepares.get(preparation.key)
        if prepare is None:
            message = pb.Prepare(
                spec=evaluation_to_proto(preparation.spec), dataset_path=str(preparation.dataset)
            )
            prepare = message.SerializeToString(deterministic=True)
            self._prepares[preparation.key] = prepare
            while len(self._prepares) > _KEPT_PREPARATIONS:
                self._prepares.popitem(last=False)
        return prepare


async def _end(starting: asyncio.Task[Child]) -> None:
    try:
        child = await starting
    except OSError:
        return  # It never started; whoever waited for it was told.
    await child.kill()

"""The evaluator port on child processes: as many as there are slots, each replaced when it dies."""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import structlog

from services.common.convert.objectives import evaluation_to_proto
from services.common.convert.pruning import pruning_to_proto
from services.common.vitals import Vitals, VitalTask
from services.core.space import Assignment
from services.core.trial import Failure, FailureKind
from services.worker.adapters.evaluation.endings import Ending
from services.worker.adapters.evaluation.guarding import Guard
from services.worker.adapters.evaluation.limits import ChildLimits
from services.worker.adapters.evaluation.marks import family_mark, new_owner
from services.worker.adapters.evaluation.process import Child
from services.worker.adapters.evaluation.starting import start_child
from services.worker.adapters.evaluation.watching import watch
from services.worker.adapters.metrics import CHILDREN_REPLACED
from services.worker.ports import Advisor, Evaluation, Preparation, Standard
from tuning.v1 import evaluation_messages_pb2 as pb

logger = structlog.get_logger()

_KEPT_PREPARATIONS = 64


class _Seat:
    """A slot's child, and the one that is to follow it when it is worn out."""

    def __init__(self, child: asyncio.Task[Child]) -> None:
        self.child = child
        self.successor: asyncio.Task[Child] | None = None
        self.worn_by: Ending | None = None

    def ready(self) -> Child | None:
        """Gives the child unless it is still starting, or could not be started."""
        done = self.child.done() and not self.child.cancelled() and not self.child.exception()
        return self.child.result() if done else None


class ChildPool:
    """Evaluates in children; nothing they do hurts this process or one another.

        async with ChildPool(slots) as pool: await pool.evaluate(...)

    Entering starts the children without waiting for them.

    Args:
        limits: on each child; without them there is none on memory.
        vitals: is told when the children are not looked after any more.
    """

    def __init__(
        self, slots: int, limits: ChildLimits | None = None, vitals: Vitals | None = None
    ) -> None:
        self._slots = slots
        self._limits = limits or ChildLimits()
        self._seats: list[_Seat] = []
        self._free: list[_Seat] = []
        self._available = asyncio.Semaphore(slots)
        self._prepares: OrderedDict[str, bytes] = OrderedDict()
        self._background: set[asyncio.Task[None]] = set()
        self._closed = False
        self._owner = new_owner()
        self._numbers = itertools.count()
        self._guard = Guard(self._owner)
        self._vitals = vitals or Vitals()
        self._watch: VitalTask | None = None

    async def __aenter__(self) -> Self:
        await self._guard.keep()
        self._seats = [_Seat(self._start()) for _ in range(self._slots)]
        self._free = list(self._seats)
        self._watch = self._vitals.keep(
            "watch-children", lambda: watch(self.children, self._guard, self._limits)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def children(self) -> list[Child]:
        """Lists the children that are ready or at work."""
        return [child for seat in self._seats if (child := seat.ready()) is not None]

    async def close(self) -> None:
        """Ends all children, busy ones too."""
        self._closed = True
        if self._watch is not None:
            await self._watch.stop()
        starting = [each.child for each in self._seats]
        starting += [each.successor for each in self._seats if each.successor is not None]
        self._free.clear()
        for task in starting:
            task.cancel()
        children = await asyncio.gather(*starting, return_exceptions=True)
        await asyncio.gather(
            *(
                each.kill() if each.is_busy else each.close()
                for each in children
                if isinstance(each, Child)
            )
        )
        await asyncio.gather(*self._background)
        await self._guard.close()

    async def evaluate(
        self,
        preparation: Preparation,
        parameters: Assignment,
        *,
        timeout_seconds: float | None,
        on_split: Callable[[int, float], None],
        standard: Standard | None = None,
        advisor: Advisor | None = None,
    ) -> Evaluation:
        """Evaluates one assignment in a child that is free, preferably one that is prepared for it."""
        prepare = self._prepare(preparation)
        try:
            async with self._child(prepare) as child:
                return await child.evaluate(
                    prepare,
                    parameters,
                    timeout_seconds=timeout_seconds,
                    on_split=on_split,
                    standard=standard,
                    advisor=advisor,
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
            seat = self._take(prepare)
            whole = False
            try:
                # Shielded: a trial that is cancelled must not take a starting child with it.
                child = await asyncio.shield(seat.child)
                if not child.is_alive:
                    # It died while idle; no trial is to blame.
                    child.ending = child.ending or Ending.DIED_IDLE
                    self._replace(seat)
                    child = await asyncio.shield(seat.child)
                yield child
                whole = True
            finally:
                self._give_back(seat, whole=whole)

    def _take(self, prepare: bytes) -> _Seat:
        ready = [(seat, child) for seat in self._free if (child := seat.ready()) is not None]
        prepared = [seat for seat, child in ready if child.prepared == prepare]
        seat = next(iter(prepared), ready[0][0] if ready else self._free[0])
        self._free.remove(seat)
        return seat

    def _give_back(self, seat: _Seat, *, whole: bool) -> None:
        if self._closed:
            return
        child = seat.ready()
        if child is None:
            if seat.child.done():
                self._replace(seat)
        elif not whole:
            child.ending = child.ending or Ending.CANCELLED
            self._replace(seat)
        elif not child.is_alive:
            child.ending = child.ending or Ending.CRASH
            self._replace(seat)
        elif child.has_company():
            # What a trial started and left must not count towards the next one's memory.
            child.ending = Ending.LEFTOVERS
            self._replace(seat)
        elif seat.successor is None and (cause := child.worn_by()) is not None:
            logger.info("child worn out: replacing it", pid=child.pid, cause=cause.value)
            seat.worn_by, seat.successor = cause, self._start()
            seat.successor.add_done_callback(lambda _: self._succeed(seat))
        self._free.append(seat)
        self._succeed(seat)

    def _succeed(self, seat: _Seat) -> None:
        """Lets the successor take the place of a child between two trials."""
        child, successor = seat.ready(), seat.successor
        if self._closed or successor is None or not successor.done() or seat not in self._free:
            return
        if successor.cancelled() or successor.exception() is not None:
            seat.successor = None
        elif child is not None:
            child.ending = child.ending or seat.worn_by
            self._replace(seat)

    def _replace(self, seat: _Seat) -> None:
        """Puts another child into a seat, and ends the one there."""
        ended, seat.child = seat.child, seat.successor or self._start()
        seat.successor = None
        self._later(self._end(ended))

    def _start(self) -> asyncio.Task[Child]:
        mark = family_mark(self._owner, next(self._numbers))
        return asyncio.create_task(start_child(mark, self._limits), name="start-child")

    async def _end(self, starting: asyncio.Task[Child]) -> None:
        # One that never started has nothing to end; whoever waited for it was told.
        with suppress(OSError):
            child = await starting
            cause = child.ending or Ending.CANCELLED
            CHILDREN_REPLACED.labels(cause=cause.value).inc()
            await child.kill()

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _prepare(self, preparation: Preparation) -> bytes:
        prepare = self._prepares.get(preparation.key)
        if prepare is None:
            message = pb.Prepare(
                spec=evaluation_to_proto(preparation.spec),
                dataset_path=str(preparation.dataset),
                pruning=pruning_to_proto(preparation.pruning),
            )
            prepare = message.SerializeToString(deterministic=True)
            self._prepares[preparation.key] = prepare
            while len(self._prepares) > _KEPT_PREPARATIONS:
                self._prepares.popitem(last=False)
        return prepare

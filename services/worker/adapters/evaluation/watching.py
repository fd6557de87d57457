"""Looking after children while they compute: memory, deaths that pipes hide, and what trials start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from services.core.trial import Failure, FailureKind
from services.worker.adapters.evaluation.endings import Ending
from services.worker.adapters.evaluation.family import descendants
from services.worker.adapters.evaluation.guarding import Guard
from services.worker.adapters.evaluation.limits import MIB, ChildLimits
from services.worker.adapters.evaluation.memory import resident_together
from services.worker.adapters.evaluation.process import Child
from services.worker.adapters.metrics import CHILD_MEMORY

logger = structlog.get_logger()

_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sight:
    """What a look at a child's processes found."""

    has_exited: bool
    relatives: tuple[int, ...]
    memory_bytes: int


async def watch(children: Callable[[], list[Child]], guard: Guard, limits: ChildLimits) -> None:
    """Looks at all children twice a second, until cancelled; idle ones cost nothing."""
    evaluations: dict[int, int] = {}
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        await guard.keep()
        active = [
            each
            for each in children()
            if each.is_busy or each.evaluations != evaluations.get(each.pid, 0)
        ]
        evaluations = {each.pid: each.evaluations for each in children()}
        was_busy = [each.is_busy for each in active]
        sights = await asyncio.to_thread(_look, active, limits.memory_bytes)
        CHILD_MEMORY.set(sum(each.memory_bytes for each in sights))
        guard.forget_all_but({pid for sight in sights for pid in sight.relatives})
        for child, sight, busy in zip(active, sights, was_busy, strict=True):
            guard.remember(child.note_relatives(sight.relatives))
            if child.ending is None:
                await _judge(child, sight, busy=busy and child.is_busy, limits=limits)


def _look(children: Sequence[Child], limit: int | None) -> list[_Sight]:
    sights = []
    for child in children:
        # The number of a child that has ended may be another's by now.
        relatives = () if child.has_exited else tuple(descendants(child.pid))
        sights.append(
            _Sight(
                has_exited=child.has_exited,
                relatives=relatives,
                memory_bytes=resident_together((child.pid, *relatives), limit=limit),
            )
        )
    return sights


async def _judge(child: Child, sight: _Sight, *, busy: bool, limits: ChildLimits) -> None:
    limit = limits.memory_bytes
    if busy and sight.has_exited:
        # What it started may hold its pipes open: without their end nobody would hear of this one.
        await child.condemn(Ending.CRASH, None)
    elif busy and limit is not None and sight.memory_bytes > limit:
        used = sight.memory_bytes // MIB
        logger.warning("trial used too much memory", pid=child.pid, used_mib=used)
        message = (
            f"the trial's processes had {used} MiB of memory; the limit is {limit // MIB} MiB"
            " (CRESCENDO_TRIAL_MEMORY_MB on its worker)"
        )
        await child.condemn(Ending.MEMORY, Failure(kind=FailureKind.OOM, message=message))
    elif sight.relatives and not child.is_busy:
        await child.end_leftovers()

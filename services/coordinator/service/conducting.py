"""Conducting one tuning run: ask the searcher, create trials, learn from their ends, close."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from services.coordinator.ports import SearcherFailed, SearcherLease, SearchStore, Suggesting
from services.coordinator.service.bell import Bell
from services.coordinator.service.capacity import Capacity
from services.coordinator.service.closing import RunEnd, end_reason
from services.coordinator.service.following import Followers, Subscription
from services.coordinator.service.progress import (
    FORGETFUL,
    RunProgress,
    earlier_runs,
    find_run,
    trials_are_spent,
)
from services.coordinator.service.windows import open_target, to_create
from services.core.errors import Conflict, CursorOutOfRange, Unavailable, WrongState
from services.core.event import Event
from services.core.plan import LifecycleState
from services.core.searcher import Suggestion
from services.core.trial import NewTrial, Trial

logger = structlog.get_logger()

FALLBACK_METHOD = "random_search"

# Events wake a conductor at once; this is only how soon it sees that workers came or went.
_LOOK_SECONDS = 1.0
# The store's reason for refusing a write under a lease that another coordinator has taken.
_LEASE_LOST = "EPOCH_OLD"

_FIRST_BACKOFF_SECONDS = 0.05
_LAST_BACKOFF_SECONDS = 5.0
# What went well for so long is no part of the same trouble.
_SETTLED_SECONDS = 30.0


class _OutOfStep(Exception):
    """The store holds other trials than this conductor thought: look again."""


class Conductor:
    """Conducts tuning runs under searcher leases.

    Keeps nothing that is not rebuilt from the store: it may be stopped anywhere and go on elsewhere.

    Args:
        dispatch: rung when there are trials to hand out or free slots.
        leases: rung when other tuning runs may have begun.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        store: SearchStore,
        suggesting: Suggesting,
        followers: Followers,
        capacity: Capacity,
        dispatch: Bell,
        leases: Bell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._store = store
        self._suggesting = suggesting
        self._followers = followers
        self._capacity = capacity
        self._dispatch = dispatch
        self._leases = leases
        self._run_end = RunEnd(store)

    async def conduct(self, lease: SearcherLease) -> None:
        """Conducts one tuning run until it has ended, is paused, or the lease is another's."""
        log = logger.bind(
            orchestration_id=lease.orchestration_id, tuning_run_id=lease.tuning_run_id
        )
        backoff = _FIRST_BACKOFF_SECONDS
        try:
            while True:
                begun = self._clock()
                try:
                    if await self._follow(lease):
                        return
                    # Paused, ended or extended by others: a fresh look tells which.
                    log.info("tuning run stopped")
                except (Conflict, WrongState, CursorOutOfRange, Unavailable, _OutOfStep) as error:
                    if isinstance(error, Conflict) and error.reason == _LEASE_LOST:
                        log.info("lease is another's", epoch=lease.epoch)
                        return
                    log.info("looking again", error=str(error))
                except Exception as error:
                    # A bug, or an answer this version does not understand: neither may end the search.
                    log.error("conducting failed; trying again", exc_info=error)
                if self._clock() - begun > _SETTLED_SECONDS:
                    backoff = _FIRST_BACKOFF_SECONDS
                await asyncio.sleep(backoff)
                backoff = min(_LAST_BACKOFF_SECONDS, 2 * backoff)
        finally:
            self._suggesting.forget(lease.tuning_run_id)

    async def _follow(self, lease: SearcherLease) -> bool:
        """Conducts on what the store holds now. Returns: whether the tuning run runs no more."""
        before = await self._store.get_orchestration(lease.orchestration_id)
        async with self._followers.follow(
            lease.orchestration_id, after_sequence=before.last_sequence
        ) as subscription:
            progress = await self._rebuild(lease, subscription)
            if progress is None:
                # It ended without this coordinator's doing: what follows it may have begun.
                self._leases.ring()
                return True
            return await self._drive(lease, progress, subscription)

    async def _rebuild(
        self, lease: SearcherLease, subscription: Subscription
    ) -> RunProgress | None:
        orchestration = await self._store.get_orchestration(lease.orchestration_id)
        run = find_run(orchestration, lease.tuning_run_id)
        if run is None or run.state is not LifecycleState.RUNNING:
            return None
        known: list[Trial] = []
        if (run.method_used or run.method) not in FORGETFUL:
            for each in [*earlier_runs(orchestration, run), run]:
                known.extend(await self._store.list_trials(each.tuning_run_id))
            orchestration = await self._store.get_orchestration(lease.orchestration_id)
            run = find_run(orchestration, lease.tuning_run_id)
            if run is None or run.state is not LifecycleState.RUNNING:
                return None
        progress = RunProgress(orchestration=orchestration, run=run, known=known)
        # A suggestion says which event it had seen last; so it must have seen all before it.
        while subscription.position < progress.sequence:
            progress.apply(await subscription.next(_LOOK_SECONDS))
        return progress

    async def _drive(
        self, lease: SearcherLease, progress: RunProgress, subscription: Subscription
    ) -> bool:
        """Asks and creates until told to stop. Returns: whether it closed the tuning run."""
        while not progress.stopped:
            if progress.done:
                return await self._close(lease, progress)
            count = self._count_to_create(progress)
            if count > 0:
                await self._create(lease, progress, count)
                # Results that came meanwhile are taken into account before the next suggestion.
                self._learn(progress, await subscription.next(0))
            elif not progress.done:
                self._learn(progress, await subscription.next(_LOOK_SECONDS))
        return False

    def _learn(self, progress: RunProgress, events: Sequence[Event]) -> None:
        if progress.apply(events):
            self._dispatch.ring()

    def _count_to_create(self, progress: RunProgress) -> int:
        method = progress.task.method
        target = open_target(
            method,
            slots=self._capacity.slots(progress.worker_class),
            active_runs=progress.active_modelled_runs,
            max_concurrent=progress.max_concurrent,
            mean_seconds=progress.mean_seconds,
        )
        return to_create(method, target=target, open_now=progress.open, left=progress.left)

    async def _create(self, lease: SearcherLease, progress: RunProgress, count: int) -> None:
        suggestions = await self._suggest(lease, progress, count)
        if len(suggestions) < count:
            progress.space_is_used_up = True
        if not suggestions:
            return
        trials = [
            NewTrial(
                parameters=each.parameters,
                candidate_index=each.candidate_index,
                phase=each.phase,
                suggestion_index=progress.created + offset,
                suggested_at_sequence=progress.sequence,
                copied_from=each.copied_from,
            )
            for offset, each in enumerate(suggestions)
        ]
        created = await self._store.create_trials(
            lease.tuning_run_id, epoch=lease.epoch, trials=trials
        )
        if created.created != len(trials) and created.remaining != 0:
            raise _OutOfStep(f"{created.created} of {len(trials)} trials were taken by the store")
        # Fewer at the budget's end: the rest of the suggestions was never made.
        progress.add(
            lease.orchestration_id,
            created.first_number,
            suggestions[: created.created],
            remaining=created.remaining,
        )
        if created.created:
            self._dispatch.ring()

    async def _suggest(
        self, lease: SearcherLease, progress: RunProgress, count: int
    ) -> Sequence[Suggestion]:
        try:
            return await self._suggesting.suggest(
                progress.task, count=count, first_index=progress.created, known=progress.known
            )
        except SearcherFailed as failure:
            method = progress.task.method
            await self._store.add_notice(
                lease.tuning_run_id,
                epoch=lease.epoch,
                reason="METHOD_FELL_BACK",
                message=f"{method} cannot go on ({failure}); the rest is searched by {FALLBACK_METHOD}",
                method_used=FALLBACK_METHOD,
            )
            progress.fall_back(FALLBACK_METHOD)
            return await self._suggesting.suggest(
                progress.task, count=count, first_index=progress.created, known=progress.known
            )

    async def _close(self, lease: SearcherLease, progress: RunProgress) -> bool:
        """Ends the tuning run. Returns: False when others have ended it meanwhile."""
        orchestration = await self._store.get_orchestration(lease.orchestration_id)
        run = find_run(orchestration, lease.tuning_run_id)
        if run is None or run.state is not LifecycleState.RUNNING:
            return False
        if run.counts.queued + run.counts.running or run.counts.completed != progress.created:
            raise _OutOfStep("trials are open that this coordinator did not know of")
        if (run.counts.total, orchestration.budget.max_trials) != (
            progress.planned,
            progress.max_trials,
        ):
            raise _OutOfStep("it was given more trials meanwhile")
        if progress.cut_short and not trials_are_spent(orchestration):
            # Its time is up, or its money: the store ends the whole search with the right reason.
            raise _OutOfStep("another limit of the budget is reached")
        await self._run_end.close(
            orchestration,
            run,
            epoch=lease.epoch,
            reason=end_reason(run, created=progress.created, cut_short=progress.cut_short),
        )
        self._leases.ring()
        self._dispatch.ring()
        return True

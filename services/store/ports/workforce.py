"""Sessions of workers, leases of coordinators, and the hand-out of trials to queues."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from services.core.trial import TrialKey
from services.store.ports.results import Batch, SearcherLease
from services.store.ports.workforce_records import (
    HeldTrial,
    PickedTrial,
    RunLoad,
    RunningTrial,
    WorkerClass,
)


class SessionStore(Protocol):
    """Keeps sessions; its leases are on the database's clock."""

    async def register(
        self, *, worker_class: str, worker_name: str, slots: int, lease_seconds: float
    ) -> str:
        """Opens a session. Returns: its id."""
        ...

    async def renew(self, session_id: str, *, free_slots: int, lease_seconds: float) -> bool | None:
        """Extends a lease. Returns: False when the session has ended; None if unknown."""
        ...

    async def set_listener(
        self, session_id: str, listener_id: str, *, lease_seconds: float
    ) -> bool | None:
        """Names the order stream that is open for a session, and extends its lease. Returns: as `renew`."""
        ...

    async def shorten(self, session_id: str, *, listener_id: str, lease_seconds: float) -> None:
        """Lets a lease end soon, unless another stream was opened since."""
        ...

    async def end(self, session_id: str) -> bool:
        """Ends a session by its own wish; no claim succeeds afterwards. Returns: whether it is known."""
        ...

    async def end_expired(self) -> Sequence[str]:
        """Ends all sessions whose lease ran out. Returns: their ids."""
        ...

    async def limit_leases(self, lease_seconds: float) -> None:
        """Shortens every lease that would last longer than this from now on."""
        ...

    async def clock(self) -> datetime:
        """Gives the database's time."""
        ...

    async def unsettled(self) -> Sequence[tuple[str, bool]]:
        """Lists ended sessions whose trials are not queued again yet, as (id, whether it was lost)."""
        ...

    async def settle(self, session_id: str) -> None:
        """Records that no trial runs under an ended session any more."""
        ...

    async def held(self, trials: Sequence[TrialKey]) -> Sequence[HeldTrial]:
        """Says how attempts stand, in the order asked."""
        ...

    async def running(self, session_id: str, *, recent_seconds: float) -> Sequence[RunningTrial]:
        """Lists the trials that run under a session; recent are those started within so many seconds."""
        ...

    async def note_missed_beats(
        self, session_id: str, *, missed: Sequence[RunningTrial], seen: Sequence[RunningTrial]
    ) -> None:
        """Counts a beat without these running trials, and forgets earlier ones without those."""
        ...

    async def take_stops(self, session_ids: Sequence[str]) -> Sequence[tuple[str, TrialKey]]:
        """Gives each trial that sessions must stop once, as (session, attempt it ran as)."""
        ...

    async def ended(self, session_ids: Sequence[str]) -> Sequence[str]:
        """Gives those of the sessions that have ended."""
        ...


class SearcherStore(Protocol):
    """Keeps searcher leases."""

    async def acquire(
        self, coordinator_id: str, *, held: Sequence[str], max_new: int, lease_seconds: float
    ) -> Sequence[SearcherLease]:
        """Renews the leases held, takes up to `max_new` free ones. Returns: all held afterwards."""
        ...

    async def release(self, coordinator_id: str, tuning_run_ids: Sequence[str]) -> None:
        """Gives leases back; those not held are ignored."""
        ...


class HandingOut(Protocol):
    """One hand-out; two never overlap, so that both do not fill the same free slots."""

    async def requeue_unclaimed(self, seconds: float) -> int:
        """Makes trials available that were dispatched long ago and never claimed.

        Args:
            seconds: how long ago at least; where trials of the class take long it is three of them.

        Returns: how many.
        """
        ...

    async def worker_classes(self) -> Sequence[WorkerClass]:
        """Lists the classes with live workers."""
        ...

    async def loads(self) -> Sequence[RunLoad]:
        """Lists tuning runs with work waiting or under way."""
        ...

    async def pick(self, wanted: Sequence[tuple[str, int]]) -> Sequence[PickedTrial]:
        """Marks up to so many waiting trials per tuning run as dispatched, lowest numbers first."""
        ...


class HandOutStore(Protocol):
    """Opens hand-outs."""

    def handing_out(self) -> AbstractAsyncContextManager[HandingOut]:
        """Opens a hand-out, after the one another replica is at."""
        ...

    async def recall(self, batches: Sequence[Batch]) -> int:
        """Makes dispatched, unclaimed trials of these batches available; all others are left alone."""
        ...

    async def recall_all(self, dispatched_for_seconds: float, worker_class: str) -> int:
        """Makes every trial available that was dispatched so long ago and not claimed.

        Args:
            worker_class: whose queue lost them; empty for all.

        Returns: how many.
        """
        ...


class ChangeSignal(Protocol):
    """Tells this process at once what others find out by polling."""

    def committed(self, orchestration_id: str) -> None:
        """An orchestration's log has grown."""
        ...

    def stops_requested(self) -> None:
        """Trials that run somewhere must be stopped."""
        ...

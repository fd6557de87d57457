"""Sessions: the presence of workers and their leases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.core.errors import FieldViolation, InvalidRequest
from services.core.queue_naming import problem_of_worker_class
from services.core.trial import TrialKey
from services.store.ports.results import Order, OrderKind, Session
from services.store.ports.workforce import SessionStore
from services.store.ports.workforce_records import HeldTrial, RunningTrial
from services.store.service.claims import session_ended
from services.store.service.identifiers import canonical_id, id_or_none, new_id, not_found
from services.store.service.requeue import Requeueing

# A worker whose stream breaks has this long to come back with a beat.
_BROKEN_STREAM_SECONDS = 5.0
# Missing from this many beats in a row, a trial is not the worker's any more.
_MISSED_BEATS = 2
_MAX_SLOTS = 100_000
# No worker comes near it: a beat that lists more is a mistake or worse. Looked up in pieces, so that no
# statement of a long beat keeps a connection from others for long.
_MAX_HELD = 100_000
_LOOKED_UP_AT_ONCE = 2_000


class Sessions:
    """Keeps sessions: a lease on each session's row, renewed by beats."""

    def __init__(
        self,
        store: SessionStore,
        requeueing: Requeueing,
        *,
        lease_seconds: float,
        beat_seconds: float,
    ) -> None:
        self._store = store
        self._requeueing = requeueing
        self._lease_seconds = lease_seconds
        self._beat_seconds = beat_seconds

    async def register(self, *, worker_class: str, worker_name: str, slots: int) -> Session:
        """Opens a session. Raises: InvalidRequest."""
        violations = []
        if (problem := problem_of_worker_class(worker_class)) is not None:
            violations.append(FieldViolation(field="worker_class", description=problem))
        if not 1 <= slots <= _MAX_SLOTS:
            violations.append(
                FieldViolation(
                    field="slots", description=f"is {slots}, must be between 1 and {_MAX_SLOTS}"
                )
            )
        if violations:
            raise InvalidRequest(violations)
        session_id = await self._store.register(
            worker_class=worker_class,
            worker_name=worker_name[:200],
            slots=slots,
            lease_seconds=self._lease_seconds,
        )
        return Session(
            session_id=session_id,
            lease_seconds=self._lease_seconds,
            beat_seconds=self._beat_seconds,
        )

    async def beat(
        self, session_id: str, *, held: Sequence[TrialKey], free_slots: int
    ) -> list[Order]:
        """Renews the lease and compares what the worker holds with what it should.

        Returns: orders to stop what it holds and should not.
        Raises: NotFound; WrongState: the session has ended, the worker registers again;
            InvalidRequest: it lists more than a worker can hold, and the lease is not renewed.
        """
        session_id = canonical_id("session", session_id)
        held = list(dict.fromkeys(held))
        if len(held) > _MAX_HELD:
            raise InvalidRequest(
                [
                    FieldViolation(
                        field="held",
                        description=f"lists {len(held)} attempts, at most {_MAX_HELD} are allowed",
                    )
                ]
            )
        _check_open(
            session_id,
            await self._store.renew(
                session_id, free_slots=max(0, free_slots), lease_seconds=self._lease_seconds
            ),
        )
        stop: list[TrialKey] = []
        known: list[TrialKey] = []
        for each in held:
            (stop if id_or_none(each.orchestration_id) is None else known).append(each)
        for first in range(0, len(known), _LOOKED_UP_AT_ONCE):
            stop += [
                TrialKey(
                    orchestration_id=each.orchestration_id,
                    number=each.number,
                    attempt=each.attempt,
                )
                for each in await self._store.held(known[first : first + _LOOKED_UP_AT_ONCE])
                if _must_stop(each)
            ]
        await self._compare(session_id, held)
        return [Order(kind=OrderKind.CANCEL, trial=each) for each in stop]

    async def _compare(self, session_id: str, held: Sequence[TrialKey]) -> None:
        """Applies the two-beat rule to trials that run under the session and that it does not hold."""
        running = await self._store.running(session_id, recent_seconds=self._beat_seconds)
        mine = {(each.orchestration_id, each.number, each.attempt) for each in held}
        missed: list[RunningTrial] = []
        seen: list[RunningTrial] = []
        for each in running:
            held_now = (each.orchestration_id, each.number, each.attempt) in mine
            if not held_now:
                # A beat made before the claim was answered cannot know of it, however late it arrives.
                if not each.is_recent:
                    missed.append(each)
            elif each.missed_beats:
                seen.append(each)
        gone = [each for each in missed if each.missed_beats + 1 >= _MISSED_BEATS]
        if missed or seen:
            await self._store.note_missed_beats(session_id, missed=missed, seen=seen)
        if gone:
            await self._requeueing.lost(session_id, _keys(gone))

    async def close(self, session_id: str) -> None:
        """Ends a session; trials that still run under it are queued again. Raises: NotFound."""
        session_id = canonical_id("session", session_id)
        if not await self._store.end(session_id):
            raise not_found("session", session_id)
        await self.settle(session_id, lost=False)

    async def open_stream(self, session_id: str) -> str:
        """Notes that a stream of orders is open, and renews the lease.

        An earlier stream may have been found broken between the beat that goes before this one and now:
        the lease it shortened would end before the next beat.

        Returns: the stream's id.
        Raises: NotFound, WrongState.
        """
        session_id = canonical_id("session", session_id)
        listener_id = new_id()
        _check_open(
            session_id,
            await self._store.set_listener(
                session_id, listener_id, lease_seconds=self._lease_seconds
            ),
        )
        return listener_id

    async def stream_broke(self, session_id: str, listener_id: str) -> None:
        """Lets the lease end soon: the worker may be dead, and a beat takes this back."""
        await self._store.shorten(
            session_id, listener_id=listener_id, lease_seconds=_BROKEN_STREAM_SECONDS
        )

    async def clock(self) -> datetime:
        """Gives the database's time, which all leases run on."""
        return await self._store.clock()

    async def unsettled(self) -> Sequence[tuple[str, bool]]:
        """Lists ended sessions whose trials are not queued again yet, as (id, whether it was lost)."""
        return await self._store.unsettled()

    async def end_expired(self) -> Sequence[str]:
        """Ends sessions whose lease ran out. Returns: their ids."""
        return await self._store.end_expired()

    async def limit_leases(self) -> None:
        """Lets no lease last longer than one given now: after the database's clock was set back."""
        await self._store.limit_leases(self._lease_seconds)

    async def settle(self, session_id: str, *, lost: bool) -> None:
        """Queues the trials of an ended session again; replicas may do it at the same time.

        Args:
            lost: whether its worker vanished, which is a strike against each of its trials.
        """
        running = _keys(await self._store.running(session_id, recent_seconds=0.0))
        if running and lost:
            await self._requeueing.lost(session_id, running)
        elif running:
            await self._requeueing.handed_back(session_id, running)
        # Nothing can be claimed under an ended session, so what was read is all there is.
        await self._store.settle(session_id)


def _check_open(session_id: str, renewed: bool | None) -> None:
    if renewed is None:
        raise not_found("session", session_id)
    if not renewed:
        raise session_ended(session_id)


def _must_stop(held: HeldTrial) -> bool:
    # A queued trial of the same attempt is one the worker is about to claim.
    return held.state is None or held.state.is_terminal or held.current_attempt > held.attempt


def _keys(trials: Sequence[RunningTrial]) -> list[TrialKey]:
    return [
        TrialKey(orchestration_id=each.orchestration_id, number=each.number, attempt=each.attempt)
        for each in trials
    ]

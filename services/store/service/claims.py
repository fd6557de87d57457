"""Claims: which trials a worker may run."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from services.core.errors import WrongState
from services.core.event import TrialStarted
from services.core.plan import LifecycleState
from services.core.trial import TrialState
from services.store.ports.records import TrialRecord, TuningRunRecord
from services.store.ports.results import Claimed, ClaimedTrial
from services.store.ports.transaction import Storage, Transaction
from services.store.ports.workforce import ChangeSignal
from services.store.ports.workforce_records import SessionRecord
from services.store.service import costs
from services.store.service.identifiers import canonical_id, id_or_none, not_found
from services.store.service.ledger import Ledger, moved

# Trials shorter than this tell nothing by starting that their end does not tell a moment later.
_WORTH_AN_EVENT_SECONDS = 1.0
# A message that reached the wrong worker is sent again after this long: soon, but never in a hot circle.
# At random: a broker serves its consumers in turn, and trials that wait equally long could reach the
# wrong worker every time.
_ANOTHER_TURN_SECONDS = (0.25, 2.0)
# How long a trial waits for another worker to come where there is none.
_ANOTHER_WORKER_SECONDS = 10.0


class Claims:
    """Gives trials to sessions: a compare-and-set on QUEUED and the attempt.

    Args:
        random: for the jitter of delays.
    """

    def __init__(self, storage: Storage, signal: ChangeSignal, random: Random) -> None:
        self._storage = storage
        self._signal = signal
        self._random = random

    async def claim(
        self,
        *,
        session_id: str,
        claim_id: str,
        orchestration_id: str,
        tuning_run_id: str,
        trials: Sequence[tuple[int, int]],
    ) -> Claimed:
        """Claims trials, given as (number, attempt).

        Repeated with the same claim id it returns the same trials as long as they run.

        Raises:
            NotFound: there is no such session.
            WrongState: the session has ended; the worker registers again.
        """
        wanted = dict(trials)
        claim_id = canonical_id("claim", claim_id)
        known_orchestration = id_or_none(orchestration_id)
        known_run = id_or_none(tuning_run_id)
        if known_orchestration is None or known_run is None:
            return Claimed(trials=(), later=(), stale=tuple(wanted))
        async with self._storage.transaction() as tx:
            session = await open_session(tx, session_id)
            record = await tx.lock_orchestration(known_orchestration)
            runs = await tx.lock_tuning_runs(known_orchestration, [known_run]) if record else ()
            if record is None or not runs:
                return Claimed(trials=(), later=(), stale=tuple(wanted))
            ledger = Ledger(tx, record, runs=runs)
            claimed = await _claim(
                tx, ledger, runs[0], session, self._random, claim_id=claim_id, wanted=wanted
            )
            if claimed.trials:
                await ledger.save()
        self._signal.committed(known_orchestration)
        return claimed


async def open_session(tx: Transaction, session_id: str) -> SessionRecord:
    """Reads a session that must not end before the transaction does.

    Raises: NotFound: there is none with this id. WrongState: it has ended.
    """
    session = await tx.keep_session(canonical_id("session", session_id))
    if session is None:
        raise not_found("session", session_id)
    if session.ended:
        raise session_ended(session_id)
    return session


def session_ended(session_id: str) -> WrongState:
    """Makes the error for a session whose lease ran out or that was closed."""
    return WrongState(
        f"session {session_id} has ended; register a new one",
        reason="SESSION_ENDED",
        metadata={"session_id": session_id},
    )


async def _claim(
    tx: Transaction,
    ledger: Ledger,
    run: TuningRunRecord,
    session: SessionRecord,
    random: Random,
    *,
    claim_id: str,
    wanted: dict[int, int],
) -> Claimed:
    orchestration = ledger.orchestration
    locked = await tx.lock_trials(orchestration.orchestration_id, sorted(wanted))
    records = {each.number: each for each in locked if each.tuning_run_id == run.tuning_run_id}
    again: list[TrialRecord] = []
    free: list[TrialRecord] = []
    stale: list[int] = []
    for number, attempt in wanted.items():
        trial = records.get(number)
        if trial is None or trial.attempt != attempt:
            stale.append(number)
        elif trial.state is TrialState.QUEUED:
            free.append(trial)
        elif (
            trial.state is TrialState.RUNNING
            and trial.claim_id == claim_id
            and trial.session_id == session.session_id
        ):
            again.append(trial)
        else:
            stale.append(number)
    elsewhere, seconds = await _better_elsewhere(tx, free, session, random)
    free = [each for each in free if each not in elsewhere]
    room = _room(ledger, run, len(free))
    taken, later = free[:room], free[room:]
    if later:
        await tx.clear_dispatch(orchestration.orchestration_id, [each.number for each in later])
    if elsewhere:
        await tx.delay_trials(
            orchestration.orchestration_id, [each.number for each in elsewhere], seconds
        )
    if taken:
        await tx.start_trials(
            orchestration.orchestration_id,
            sorted(each.number for each in taken),
            session=session,
            claim_id=claim_id,
        )
        ledger.count(run.tuning_run_id, moved([(each.state, TrialState.RUNNING) for each in taken]))
        await costs.start(tx, ledger, taken)
        _note_started(ledger, run, taken, session)
    return Claimed(
        trials=tuple(
            ClaimedTrial(
                number=each.number,
                attempt=each.attempt,
                parameters=each.parameters,
                candidate_index=each.candidate_index,
            )
            for each in (*again, *taken)
        ),
        later=tuple(each.number for each in (*later, *elsewhere)),
        stale=tuple(stale),
        threshold=run.threshold,
    )


async def _better_elsewhere(
    tx: Transaction, trials: Sequence[TrialRecord], session: SessionRecord, random: Random
) -> tuple[list[TrialRecord], float]:
    """Finds trials that brought down a child of this very worker, and must be tried on another.

    With no other worker alive such a trial waits once for one to come, then runs here.

    Returns: the trials, and the seconds until they may be handed out again.
    """
    struck = [
        each for each in trials if each.crash_strikes and each.crash_worker == session.worker_name
    ]
    if not struck:
        return [], 0.0
    if await tx.has_other_workers(session):
        return struck, random.uniform(*_ANOTHER_TURN_SECONDS)
    return [each for each in struck if each.not_before is None], _ANOTHER_WORKER_SECONDS


def _room(ledger: Ledger, run: TuningRunRecord, wanted: int) -> int:
    """Counts trials that may start now: by state, time, concurrency and cost."""
    orchestration = ledger.orchestration
    if {orchestration.state, run.state} != {LifecycleState.RUNNING} or orchestration.is_overdue:
        return 0
    rooms = [wanted]
    if orchestration.max_concurrent_trials:
        rooms.append(orchestration.max_concurrent_trials - orchestration.counts.running)
    if (affordable := costs.room(ledger)) is not None:
        rooms.append(affordable)
    return max(0, min(rooms))


def _note_started(
    ledger: Ledger, run: TuningRunRecord, trials: Sequence[TrialRecord], session: SessionRecord
) -> None:
    if run.mean_duration is not None and run.mean_duration < _WORTH_AN_EVENT_SECONDS:
        return
    for each in trials:
        ledger.append(
            TrialStarted(
                number=each.number,
                attempt=each.attempt,
                worker=session.worker_name,
                tuning_run_id=run.tuning_run_id,
            )
        )

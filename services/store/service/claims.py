"""Claims: which trials a worker may run."""

from __future__ import annotations

from collections.abc import Sequence

from services.core.errors import WrongState
from services.core.event import TrialStarted
from services.core.plan import LifecycleState
from services.core.trial import TrialState
from services.store.ports.records import SessionRecord, TrialRecord, TuningRunRecord
from services.store.ports.results import Claimed, ClaimedTrial
from services.store.ports.transaction import Storage, Transaction
from services.store.ports.workforce import ChangeSignal
from services.store.service.identifiers import canonical_id, id_or_none, not_found
from services.store.service.ledger import Ledger, moved

# Trials shorter than this tell nothing by starting that their end does not tell a moment later.
_WORTH_AN_EVENT_SECONDS = 1.0


class Claims:
    """Gives trials to sessions: a compare-and-set on QUEUED and the attempt."""

    def __init__(self, storage: Storage, signal: ChangeSignal) -> None:
        self._storage = storage
        self._signal = signal

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
            claimed = await _claim(tx, ledger, runs[0], session, claim_id=claim_id, wanted=wanted)
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
    room = len(free)
    if {orchestration.state, run.state} != {LifecycleState.RUNNING}:
        room = 0
    elif orchestration.max_concurrent_trials:
        room = max(0, orchestration.max_concurrent_trials - orchestration.counts.running)
    taken, later = free[:room], free[room:]
    if later:
        await tx.clear_dispatch(orchestration.orchestration_id, [each.number for each in later])
    if taken:
        await tx.start_trials(
            orchestration.orchestration_id,
            sorted(each.number for each in taken),
            session=session,
            claim_id=claim_id,
        )
        ledger.count(run.tuning_run_id, moved([(each.state, TrialState.RUNNING) for each in taken]))
        _note_started(ledger, run, taken, session)
    return Claimed(
        trials=tuple(
            ClaimedTrial(number=each.number, attempt=each.attempt, parameters=each.parameters)
            for each in (*again, *taken)
        ),
        later=tuple(each.number for each in later),
        stale=tuple(stale),
    )


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

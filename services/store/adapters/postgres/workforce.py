"""Sessions, searcher leases and hand-outs, in Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from services.core.trial import TrialKey, TrialState
from services.store.adapters import metrics
from services.store.adapters.postgres.database import Database
from services.store.adapters.postgres.queries import QUERIES
from services.store.ports.results import Batch, SearcherLease
from services.store.ports.workforce import HandingOut
from services.store.ports.workforce_records import (
    HeldTrial,
    PickedTrial,
    RunLoad,
    RunningTrial,
    WorkerClass,
)
from services.store.service.identifiers import canonical_id, new_id

# Any number nothing else locks: one hand-out at a time over all replicas.
_HAND_OUT_LOCK = 0x68616E64


class PostgresSessions:
    """Keeps sessions; the port says what each method promises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(
        self, *, worker_class: str, worker_name: str, slots: int, lease_seconds: float
    ) -> str:
        """Opens a session."""
        session_id = new_id()
        async with self._database.beating() as connection:
            await connection.execute(
                QUERIES["register_session"],
                session_id,
                worker_class,
                worker_name,
                slots,
                lease_seconds,
            )
        return session_id

    async def renew(self, session_id: str, *, free_slots: int, lease_seconds: float) -> bool | None:
        """Extends a lease."""
        return await self._touch("renew_session", session_id, free_slots, lease_seconds)

    async def set_listener(
        self, session_id: str, listener_id: str, *, lease_seconds: float
    ) -> bool | None:
        """Names the order stream that is open for a session, and extends its lease."""
        return await self._touch("set_listener", session_id, listener_id, lease_seconds)

    async def _touch(self, query: str, session_id: str, *arguments: Any) -> bool | None:
        async with self._database.beating() as connection:
            if await connection.fetchval(QUERIES[query], session_id, *arguments) is not None:
                return True
            exists: bool = await connection.fetchval(QUERIES["session_exists"], session_id)
        return False if exists else None

    async def shorten(self, session_id: str, *, listener_id: str, lease_seconds: float) -> None:
        """Lets a lease end soon."""
        async with self._database.beating() as connection:
            await connection.execute(
                QUERIES["shorten_session"], session_id, listener_id, lease_seconds
            )

    async def end(self, session_id: str) -> bool:
        """Ends a session by its own wish."""
        async with self._database.beating() as connection:
            ended = await connection.fetchval(QUERIES["end_session"], session_id) is not None
        if ended:
            metrics.SESSIONS_ENDED.labels(cause="closed").inc()
        return ended

    async def end_expired(self) -> Sequence[str]:
        """Ends all sessions whose lease ran out."""
        async with self._database.beating() as connection:
            found = await connection.fetch(QUERIES["end_expired_sessions"])
        metrics.SESSIONS_ENDED.labels(cause="lost").inc(len(found))
        return [row["session_id"] for row in found]

    async def limit_leases(self, lease_seconds: float) -> None:
        """Shortens every lease that would last longer than this from now on."""
        async with self._database.beating() as connection:
            await connection.execute(QUERIES["limit_leases"], lease_seconds)

    async def clock(self) -> datetime:
        """Gives the database's time."""
        async with self._database.beating() as connection:
            now: datetime = await connection.fetchval(QUERIES["now"])
        return now

    async def unsettled(self) -> Sequence[tuple[str, bool]]:
        """Lists ended sessions whose trials are not queued again yet."""
        async with self._database.beating() as connection:
            found = await connection.fetch(QUERIES["unsettled_sessions"])
        return [(row["session_id"], row["lost"]) for row in found]

    async def settle(self, session_id: str) -> None:
        """Records that no trial runs under an ended session any more."""
        async with self._database.beating() as connection:
            await connection.execute(QUERIES["settle_session"], session_id)

    async def held(self, trials: Sequence[TrialKey]) -> Sequence[HeldTrial]:
        """Says how attempts stand, in the order asked."""
        async with self._database.beating() as connection:
            found = await connection.fetch(
                QUERIES["held_trials"],
                [canonical_id("orchestration", each.orchestration_id) for each in trials],
                [each.number for each in trials],
            )
        return [
            HeldTrial(
                orchestration_id=each.orchestration_id,
                number=each.number,
                attempt=each.attempt,
                state=None if row["state"] is None else TrialState(row["state"]),
                current_attempt=row["attempt"] or 0,
            )
            for each, row in zip(trials, found, strict=True)
        ]

    async def running(self, session_id: str, *, recent_seconds: float) -> Sequence[RunningTrial]:
        """Lists the trials that run under a session."""
        async with self._database.beating() as connection:
            found = await connection.fetch(QUERIES["running_trials"], session_id, recent_seconds)
        return [
            RunningTrial(
                orchestration_id=row["orchestration_id"],
                number=row["number"],
                attempt=row["attempt"],
                missed_beats=row["missed_beats"],
                is_recent=row["is_recent"],
            )
            for row in found
        ]

    async def note_missed_beats(
        self, session_id: str, *, missed: Sequence[RunningTrial], seen: Sequence[RunningTrial]
    ) -> None:
        """Counts a beat without these running trials, and forgets earlier ones without those."""
        noted = [(each, each.missed_beats + 1) for each in missed] + [(each, 0) for each in seen]
        async with self._database.beating() as connection:
            await connection.execute(
                QUERIES["set_missed_beats"],
                session_id,
                [each.orchestration_id for each, _ in noted],
                [each.number for each, _ in noted],
                [each.attempt for each, _ in noted],
                [count for _, count in noted],
            )

    async def take_stops(self, session_ids: Sequence[str]) -> Sequence[tuple[str, TrialKey]]:
        """Gives each trial that sessions must stop once."""
        async with self._database.beating() as connection:
            found = await connection.fetch(QUERIES["take_stops"], list(session_ids))
        return [
            (
                row["session_id"],
                TrialKey(
                    orchestration_id=row["orchestration_id"],
                    number=row["number"],
                    attempt=row["attempt"],
                ),
            )
            for row in found
        ]

    async def ended(self, session_ids: Sequence[str]) -> Sequence[str]:
        """Gives those of the sessions that have ended."""
        async with self._database.beating() as connection:
            found = await connection.fetch(QUERIES["ended_sessions"], list(session_ids))
        return [row["session_id"] for row in found]


class PostgresSearchers:
    """Keeps searcher leases; the port says what each method promises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acquire(
        self, coordinator_id: str, *, held: Sequence[str], max_new: int, lease_seconds: float
    ) -> Sequence[SearcherLease]:
        """Renews the leases held, takes free ones."""
        async with self._database.beating() as connection:
            found = []
            if held:
                found += await connection.fetch(
                    QUERIES["renew_searchers"], coordinator_id, list(held), lease_seconds
                )
            if max_new:
                found += await connection.fetch(
                    QUERIES["take_searchers"], coordinator_id, max_new, lease_seconds, list(held)
                )
        # One that ran out and was taken again by its holder has its latest epoch.
        leases = {
            row["tuning_run_id"]: SearcherLease(
                tuning_run_id=row["tuning_run_id"],
                orchestration_id=row["orchestration_id"],
                epoch=row["searcher_epoch"],
            )
            for row in found
        }
        return list(leases.values())

    async def release(self, coordinator_id: str, tuning_run_ids: Sequence[str]) -> None:
        """Gives leases back."""
        async with self._database.beating() as connection:
            await connection.execute(
                QUERIES["release_searchers"], coordinator_id, list(tuning_run_ids)
            )


class PostgresHandOuts:
    """Opens hand-outs; the port says what each method promises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def handing_out(self) -> AsyncIterator[HandingOut]:
        """Opens a hand-out, after the one another replica is at."""
        async with self._database.writing() as connection:
            await connection.execute(QUERIES["lock_hand_out"], _HAND_OUT_LOCK)
            yield _PostgresHandingOut(connection)

    async def recall_all(self, dispatched_for_seconds: float, worker_class: str) -> int:
        """Makes every trial available that was dispatched so long ago and not claimed."""
        async with self._database.writing() as connection:
            recalled = await connection.fetch(
                QUERIES["recall_all_trials"], dispatched_for_seconds, worker_class
            )
            return len(recalled)

    async def recall(self, batches: Sequence[Batch]) -> int:
        """Makes dispatched, unclaimed trials of these batches available."""
        async with self._database.writing() as connection:
            trials = [
                (canonical_id("orchestration", batch.orchestration_id), number, attempt)
                for batch in batches
                for number, attempt in batch.trials
            ]
            recalled = await connection.fetch(
                QUERIES["recall_trials"],
                [each[0] for each in trials],
                [each[1] for each in trials],
                [each[2] for each in trials],
            )
            return len(recalled)


class _PostgresHandingOut:
    """One hand-out, inside its transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def requeue_unclaimed(self, seconds: float) -> int:
        """Makes trials available that were dispatched long ago and never claimed."""
        return len(await self._connection.fetch(QUERIES["requeue_unclaimed"], seconds))

    async def worker_classes(self) -> Sequence[WorkerClass]:
        """Lists the classes with live workers."""
        found = await self._connection.fetch(QUERIES["worker_classes"])
        return [
            WorkerClass(
                worker_class=row["worker_class"],
                live_workers=row["live_workers"],
                slots=row["slots"],
            )
            for row in found
        ]

    async def loads(self) -> Sequence[RunLoad]:
        """Lists tuning runs with work waiting or under way."""
        found = await self._connection.fetch(QUERIES["loads"])
        totals: dict[str, int] = {}
        for row in found:
            identifier = row["orchestration_id"]
            totals[identifier] = totals.get(identifier, 0) + row["outstanding"]
        return [
            RunLoad(
                tuning_run_id=row["tuning_run_id"],
                orchestration_id=row["orchestration_id"],
                worker_class=row["worker_class"],
                tenant=row["tenant"],
                priority=row["priority"],
                created_at=row["created_at"],
                stage_index=row["stage_index"],
                position=row["position"],
                max_concurrent_trials=row["max_concurrent_trials"],
                waiting=row["waiting"],
                outstanding=row["outstanding"],
                orchestration_outstanding=totals[row["orchestration_id"]],
                mean_duration=row["mean_duration"],
                open_for_work=row["open_for_work"],
            )
            for row in found
        ]

    async def pick(self, wanted: Sequence[tuple[str, int]]) -> Sequence[PickedTrial]:
        """Marks waiting trials as dispatched, lowest numbers first."""
        found = await self._connection.fetch(
            QUERIES["pick_trials"], [run for run, _ in wanted], [count for _, count in wanted]
        )
        picked = [
            PickedTrial(
                tuning_run_id=row["tuning_run_id"],
                orchestration_id=row["orchestration_id"],
                number=row["number"],
                attempt=row["attempt"],
                has_strikes=row["has_strikes"],
                request_id=row["request_id"],
            )
            for row in found
        ]
        return sorted(picked, key=lambda each: each.number)

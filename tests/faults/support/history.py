"""What happened, as the database tells it: rows, event logs, and the audit of every transition."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from crescendo.client import event_decoding
from testbed.addresses import run_apart
from tuning.v1 import event_pb2

TERMINAL_TRIALS = ("succeeded", "failed", "pruned", "cancelled")
TERMINAL_LIFECYCLES = frozenset({"completed", "failed", "cancelled"})
COUNTED = ("queued", "running", *TERMINAL_TRIALS)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """A trial as it is stored."""

    number: int
    tuning_run_id: str
    stage_index: int
    state: str
    attempt: int
    finished_attempt: int | None = None
    candidate_index: int | None = None
    suggestion_index: int = 0
    score: float | None = None
    failure_kind: str | None = None
    session_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningRunRow:
    """A tuning run as it is stored."""

    tuning_run_id: str
    state: str
    planned: int
    created: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of a trial, in the order of the database; `old_state` None when it was created."""

    number: int
    old_state: str | None
    old_attempt: int | None
    new_state: str
    new_attempt: int
    finished_attempt: int | None = None
    session_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """An event of the log; `event` holds its payload alone."""

    sequence: int
    event: event_pb2.Event

    @property
    def digest(self) -> str:
        """Names the payload as watchers of the raw stream do."""
        return payload_digest(self.event)

    @property
    def change_digest(self) -> str:
        """Names the payload as watchers of the client library do."""
        return change_digest(event_decoding.event(self.event).change)


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One orchestration with everything that is kept of it."""

    orchestration_id: str
    state: str
    last_sequence: int
    counts: Mapping[str, int]
    planned: int
    best_number: int | None
    best_score: float | None
    runs: Sequence[TuningRunRow] = ()
    trials: Sequence[TrialRow] = ()
    events: Sequence[LoggedEvent] = ()
    transitions: Sequence[Transition] = ()
    first_sequence: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything a database tells.

    Attributes:
        requests: `(rpc, request_id)` of every request kept, to the resource it made.
        unsettled_sessions: sessions that ended and whose trials were not looked after yet.
    """

    logs: Mapping[str, Log]
    requests: Mapping[tuple[str, str], str]
    unsettled_sessions: int = 0

    @property
    def open_orchestrations(self) -> list[str]:
        return [each.orchestration_id for each in self.logs.values() if not _ended(each)]


def payload_digest(event: event_pb2.Event) -> str:
    """Names what an event says, apart from where and when it stands."""
    bare = event_pb2.Event()
    bare.CopyFrom(event)
    bare.ClearField("orchestration_id")
    bare.ClearField("sequence")
    bare.ClearField("occurred_at")
    bare.ClearField("request_id")
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest()[:16]


def change_digest(change: Any) -> str:
    """Names what an event of the client library says."""
    return hashlib.sha256(repr(change).encode()).hexdigest()[:16]


def read_history(dsn: str) -> History:
    """Reads everything, in one snapshot of the database."""
    return run_apart(_read(dsn))


def _ended(log: Log) -> bool:
    return log.state in TERMINAL_LIFECYCLES


async def _read(dsn: str) -> History:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            orchestrations = await connection.fetch(
                "SELECT *, orchestration_id::text AS id FROM crescendo.orchestrations"
            )
            runs = await _grouped(connection, "tuning_runs", "tuning_run_id")
            trials = await _grouped(connection, "trials", "number")
            events = await _grouped(connection, "events", "sequence")
            audited = await connection.fetchval("SELECT to_regclass('faults.transitions')")
            transitions = (
                await _grouped(connection, "transitions", "id", schema="faults") if audited else {}
            )
            requests = await connection.fetch(
                "SELECT rpc, request_id, resource_id FROM crescendo.requests"
            )
            unsettled = await connection.fetchval(
                "SELECT count(*) FROM crescendo.sessions WHERE ended_at IS NOT NULL AND NOT settled"
            )
    finally:
        await connection.close()
    logs = {
        row["id"]: _log(
            row,
            runs=runs.get(row["id"], ()),
            trials=trials.get(row["id"], ()),
            events=events.get(row["id"], ()),
            transitions=transitions.get(row["id"], ()),
        )
        for row in orchestrations
    }
    return History(
        logs=logs,
        requests={(row["rpc"], row["request_id"]): row["resource_id"] for row in requests},
        unsettled_sessions=unsettled,
    )


async def _grouped(
    connection: asyncpg.Connection[Any], table: str, order: str, *, schema: str = "crescendo"
) -> dict[str, list[Any]]:
    rows = await connection.fetch(
        f"SELECT *, orchestration_id::text AS owner FROM {schema}.{table} ORDER BY {order}"
    )
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row["owner"], []).append(row)
    return found


def _log(
    row: Any,
    *,
    runs: Iterable[Any],
    trials: Iterable[Any],
    events: Iterable[Any],
    transitions: Iterable[Any],
) -> Log:
    return Log(
        orchestration_id=row["id"],
        state=row["state"],
        last_sequence=row["last_sequence"],
        first_sequence=row.get("first_sequence") or 1,
        counts=_counters(row),
        planned=row["planned"],
        best_number=row["best_number"],
        best_score=row["best_score"],
        runs=[
            TuningRunRow(
                tuning_run_id=str(each["tuning_run_id"]),
                state=each["state"],
                planned=each["planned"],
                created=each["created"],
                counts=_counters(each),
            )
            for each in runs
        ],
        trials=[
            TrialRow(
                number=each["number"],
                tuning_run_id=str(each["tuning_run_id"]),
                stage_index=each["stage_index"],
                state=each["state"],
                attempt=each["attempt"],
                finished_attempt=each["finished_attempt"],
                candidate_index=each["candidate_index"],
                suggestion_index=each["suggestion_index"],
                score=each["score"],
                failure_kind=each["failure_kind"],
                session_id=_text(each["session_id"]),
            )
            for each in trials
        ],
        events=[
            LoggedEvent(
                sequence=each["sequence"], event=event_pb2.Event.FromString(each["payload_proto"])
            )
            for each in events
        ],
        transitions=[
            Transition(
                number=each["number"],
                old_state=each["old_state"],
                old_attempt=each["old_attempt"],
                new_state=each["new_state"],
                new_attempt=each["new_attempt"],
                finished_attempt=each["finished_attempt"],
                session_id=_text(each["session_id"]),
            )
            for each in transitions
        ],
    )


def _counters(row: Any) -> dict[str, int]:
    return {name: row[name] for name in COUNTED}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)

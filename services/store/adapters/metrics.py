"""What a store counts and measures, for Prometheus; docs/metrics.md says what each means."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from services.core.event import Payload, TrialFinished, TrialRequeued

RPC_SECONDS = Histogram(
    "crescendo_store_rpc_seconds",
    "Time to answer a call, by method and gRPC code; streams count when they end.",
    ["rpc", "code"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
CLAIMS = Counter(
    "crescendo_store_claimed_trials",
    "Trials that messages named and workers asked for: taken, later (no room now), stale.",
    ["answer"],
)
RESULTS = Counter(
    "crescendo_store_results",
    "Results that workers reported: done, duplicate (known already), fenced (of an old attempt, or"
    " not the session's that holds it).",
    ["answer"],
)
RETURNED = Counter(
    "crescendo_store_returned_trials",
    "Trials that workers handed back: claimed before (those they were ordered to stop included), or"
    " unclaimed for want of a slot.",
    ["kind"],
)
TRIALS = Counter(
    "crescendo_store_trials",
    "Trials that ended: succeeded, pruned, cancelled, or the kind of failure.",
    ["outcome"],
)
REQUEUED = Counter(
    "crescendo_store_requeued_trials", "Attempts that ended and were queued again.", ["cause"]
)
EVENTS = Counter("crescendo_store_events", "Events that were committed, by kind.", ["kind"])
SESSIONS_ENDED = Counter(
    "crescendo_store_ended_sessions",
    "Sessions that ended: closed, or lost to the reaper.",
    ["cause"],
)
SESSIONS = Gauge(
    "crescendo_store_live_sessions",
    "Workers whose session lives, in all replicas.",
    ["worker_class"],
)
SLOTS = Gauge("crescendo_store_live_slots", "Slots of live workers.", ["worker_class"])
FREE_SLOTS = Gauge(
    "crescendo_store_live_free_slots",
    "Free slots of live workers by their last beat.",
    ["worker_class"],
)
QUEUED = Gauge(
    "crescendo_store_queued_trials", "Trials that wait in tuning runs that run.", ["worker_class"]
)
RUNNING = Gauge("crescendo_store_running_trials", "Trials that run now.", ["worker_class"])
POOL_WAIT = Histogram(
    "crescendo_store_pool_wait_seconds",
    "Time a call waited for a database connection.",
    ["pool"],
    buckets=(0.0001, 0.001, 0.01, 0.05, 0.1, 0.5, 1, 5, 10),
)
POOL_IN_USE = Gauge("crescendo_store_pool_connections_in_use", "Connections taken now.", ["pool"])
DATABASE_REACHED = Gauge(
    "crescendo_store_database_ready", "Whether the database takes writes: 1 or 0."
)


def observe_call(method: str, code: str, seconds: float) -> None:
    """Takes a call's end."""
    RPC_SECONDS.labels(rpc=method, code=code).observe(seconds)


def count_committed(payloads: Iterable[Payload]) -> None:
    """Counts events, and what they say of trials, once they are committed."""
    # Added up first: a batch is of a few kinds, and a label costs more than the rest of its event.
    kinds: Tally[str] = Tally()
    outcomes: Tally[str] = Tally()
    causes: Tally[str] = Tally()
    for payload in payloads:
        kinds[type(payload).__name__] += 1
        match payload:
            case TrialFinished():
                outcome = payload.failure.kind if payload.failure is not None else payload.state
                outcomes[outcome.value] += 1
            case TrialRequeued():
                causes[payload.cause.value] += 1
            case _:
                pass
    for kind, count in kinds.items():
        EVENTS.labels(kind=kind).inc(count)
    for value, count in outcomes.items():
        TRIALS.labels(outcome=value).inc(count)
    for cause, count in causes.items():
        REQUEUED.labels(cause=cause).inc(count)


def measure_pool(name: str, pool: Any) -> None:
    """Lets the gauge ask a pool; the last one to say so where a process has several."""
    POOL_IN_USE.labels(pool=name).set_function(lambda: pool.get_size() - pool.get_idle_size())


def measure_workforce(rows: Sequence[Any]) -> None:
    """Sets the gauges by worker class; classes that are gone disappear."""
    gauges = {
        "sessions": SESSIONS,
        "slots": SLOTS,
        "free_slots": FREE_SLOTS,
        "queued": QUEUED,
        "running": RUNNING,
    }
    for gauge in gauges.values():
        gauge.clear()
    for row in rows:
        for name, gauge in gauges.items():
            gauge.labels(worker_class=row["worker_class"]).set(row[name])

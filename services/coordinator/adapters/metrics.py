"""What a coordinator counts and measures, for Prometheus; docs/metrics.md says what each means."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RPC_SECONDS = Histogram(
    "crescendo_coordinator_rpc_seconds",
    "Time to answer a call, by method and gRPC code.",
    ["rpc", "code"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
LEASES = Gauge(
    "crescendo_coordinator_searcher_leases", "Tuning runs that this coordinator decides for."
)
SUGGESTION_SECONDS = Histogram(
    "crescendo_coordinator_suggestion_seconds",
    "Time a searcher took to answer, by its method and whether it did.",
    ["method", "outcome"],
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
HAND_OUT_SECONDS = Histogram(
    "crescendo_coordinator_hand_out_seconds",
    "Time the store took to say what to publish next.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15),
)
PUBLISHED = Counter(
    "crescendo_coordinator_published_messages",
    "Messages to workers: confirmed by the broker, or not (they may arrive all the same).",
    ["worker_class", "answer"],
)
RECALLED = Counter(
    "crescendo_coordinator_recalled_trials",
    "Trials made available again because their messages may be lost.",
)
QUEUE_DEPTH = Gauge(
    "crescendo_coordinator_queue_messages", "Messages that wait in the broker.", ["worker_class"]
)
DEAD_LETTERS = Gauge(
    "crescendo_coordinator_dead_letters", "Dead letters that wait to be looked at."
)
DEAD_LETTERED = Counter(
    "crescendo_coordinator_dead_lettered_messages", "Messages seen to become dead letters."
)
STORE_READY = Gauge("crescendo_coordinator_store_ready", "Whether the store answers: 1 or 0.")
BROKER_CONNECTED = Gauge(
    "crescendo_coordinator_broker_connected", "Whether the broker is connected: 1 or 0."
)


def observe_call(method: str, code: str, seconds: float) -> None:
    """Takes a call's end."""
    RPC_SECONDS.labels(rpc=method, code=code).observe(seconds)

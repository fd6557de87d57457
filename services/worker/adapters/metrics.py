"""What a worker counts and measures, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram

from services.core.trial import TrialResult, TrialState
from services.worker.ports import FinishOutcome

MESSAGES = Counter(
    "crescendo_worker_messages", "Messages received, by what became of them.", ["outcome"]
)
CLAIMS = Counter(
    "crescendo_worker_claimed_trials",
    "Trials named by messages, by what the store said.",
    ["answer"],
)
TRIALS = Counter(
    "crescendo_worker_trials",
    "Trials that ended here: succeeded, pruned, stopped, or the kind of failure.",
    ["outcome"],
)
EVALUATION_SECONDS = Histogram(
    "crescendo_worker_evaluation_seconds",
    "Time from the start of a trial to its end, without its preparation.",
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000),
)
RESULTS = Counter(
    "crescendo_worker_results", "Results reported, by the store's answer.", ["answer"]
)
CHILDREN_REPLACED = Counter(
    "crescendo_worker_children_replaced", "Children that others took the place of.", ["cause"]
)
PREPROCESSING_STEPS = Counter(
    "crescendo_worker_preprocessing_steps",
    "Preprocessing steps of trials, once for each fold: reused (kept from an earlier trial), or"
    " fitted to be kept.",
    ["output"],
)
SLOTS = Gauge("crescendo_worker_slots", "Trials that can run at once.")
FREE_SLOTS = Gauge("crescendo_worker_free_slots", "Slots without a trial.")
BUSY_CHILDREN = Gauge("crescendo_worker_busy_children", "Children that evaluate a trial now.")
CHILD_MEMORY = Gauge(
    "crescendo_worker_children_memory_bytes",
    "Memory of all children that were active in the last half second, and what they started.",
)
UNREPORTED = Gauge(
    "crescendo_worker_unreported_results", "Results that the store has not answered yet."
)

BEATS_MISSED = Counter(
    "crescendo_worker_missed_beats", "Beats that the store did not answer in time."
)


class PrometheusRecord:
    """Counts what the worker's use cases tell of."""

    def claimed(self, *, taken: int, later: int, stale: int) -> None:
        """Counts a claim's answer."""
        for answer, count in (("taken", taken), ("later", later), ("stale", stale)):
            CLAIMS.labels(answer=answer).inc(count)

    def ended(self, result: TrialResult | None) -> None:
        """Counts a trial's end; None for one that was stopped."""
        if result is None:
            TRIALS.labels(outcome="stopped").inc()
            return
        failed = result.state is TrialState.FAILED and result.failure is not None
        outcome = result.failure.kind if failed and result.failure else result.state
        TRIALS.labels(outcome=outcome.value).inc()
        EVALUATION_SECONDS.observe(result.duration_seconds)

    def answered(self, outcome: FinishOutcome | None) -> None:
        """Counts the answer to a result; None for one that was refused."""
        RESULTS.labels(answer="refused" if outcome is None else outcome.value).inc()


def count_preprocessing(*, reused: int, fitted: int) -> None:
    """Counts steps, once for each fold; what else they say, counters take no negative numbers."""
    PREPROCESSING_STEPS.labels(output="reused").inc(max(0, reused))
    PREPROCESSING_STEPS.labels(output="fitted").inc(max(0, fitted))


def measure(
    *,
    slots: int,
    free_slots: Callable[[], int],
    busy: Callable[[], int],
    unreported: Callable[[], int],
) -> None:
    """Lets the gauges ask this worker; the last one to say so where a process has several."""
    SLOTS.set(slots)
    FREE_SLOTS.set_function(free_slots)
    BUSY_CHILDREN.set_function(busy)
    UNREPORTED.set_function(unreported)

"""P6: how long a slot stands empty between two trials.

From the end of a trial to the start of the next one in the freed slot, on the worker's own clock: the
report of the result, the claim of the next trial and whatever had to happen before that, such as its
creation, its message and its way through RabbitMQ. Trials sleep, each for another time, so that they end
one by one; all else is as in production. There is no peer: threads that share a list have no such gap,
and no other process to lose.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import timed_worker
from benchmarks.percentiles import percentile
from benchmarks.program import Size, run
from benchmarks.rows import Row
from benchmarks.searches import SPACE, timed_model, wait_completed
from benchmarks.stack import Servers, running, servers
from benchmarks.trial_times import gaps, read_times

_SLOTS = 8
_SPREAD = 0.5
_P50_GOAL, _P99_GOAL = 0.020, 0.100


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One line of the table: trials of a mean duration in seconds, a few of them to get going."""

    name: str
    what: str
    seconds: float
    trials: int


_PLANS = {
    Size.QUICK: (
        Plan(name="P6", what="half-second", seconds=0.5, trials=400),
        Plan(name="P6 long", what="3-second", seconds=3.0, trials=60),
    ),
    Size.FULL: (
        Plan(name="P6", what="half-second", seconds=0.5, trials=5_000),
        Plan(name="P6 long", what="3-second", seconds=3.0, trials=1_000),
    ),
}


def measure(size: Size) -> list[Row]:
    """Measures short and long trials: only the messages of short ones wait ahead of their slots."""
    with servers() as on:
        return [_row(plan, _gaps(on, plan)) for plan in _PLANS[size]]


def _gaps(on: Servers, plan: Plan) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="crescendo-bench-") as folder:
        times: dict[str, Any] = {
            timed_worker.SECONDS_VARIABLE: str(plan.seconds),
            timed_worker.SPREAD_VARIABLE: str(_SPREAD),
            timed_worker.TIMES_VARIABLE: folder,
        }
        with running(on, slots=_SLOTS, worker=timed_worker.ARGUMENTS, **times) as stack:
            model_run_id = timed_model(stack)
            for trials in (2 * _SLOTS, plan.trials):
                started = stack.client.tune(
                    model_run_id,
                    distributions=SPACE,
                    method="random_search",
                    n_iter=trials,
                    try_current_parameters=False,
                )
                wait_completed(stack, started.orchestration_id)
        (found,) = read_times(Path(folder)).values()
    # The first search only makes connections.
    return gaps(found[2 * _SLOTS :], _SLOTS)


def _row(plan: Plan, found: list[float]) -> Row:
    median, high = percentile(found, 0.50), percentile(found, 0.99)
    return Row(
        name=plan.name,
        work=f"{plan.trials:,} {plan.what} trials on {_SLOTS} slots: a trial's end to the next one's start",
        goal=f"p50 ≤ {1e3 * _P50_GOAL:g} ms, p99 ≤ {1e3 * _P99_GOAL:g} ms",
        ours=1e3 * median,
        unit="ms (p50)",
        met=median <= _P50_GOAL and high <= _P99_GOAL,
        note=f"p99 {1e3 * high:.0f} ms, longest {1e3 * max(found):.0f} ms",
    )


if __name__ == "__main__":
    run(measure, __doc__)

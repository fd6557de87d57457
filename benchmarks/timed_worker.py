"""A worker as any other, whose trials fit nothing: they wait for a given time and score their parameters.

`python -m benchmarks.timed_worker` takes the settings of `python -m services.worker`, and
BENCH_TRIAL_SECONDS, the duration of every trial: 0 by default, at once; BENCH_TRIAL_SPREAD, by which share
of it a trial's duration may lie above or below, at random by its parameters: 0 by default; and
BENCH_TRIAL_TIMES, a folder for a file of when each trial began and ended: none by default. Only what
evaluates is another one, through the worker's own port; messages, claims, reports and their durability are
the real ones.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from services.common.lifecycle import run_service
from services.common.messaging.rabbit import RabbitBroker
from services.common.messaging.topology import Topology
from services.common.settings import load
from services.common.telemetry import configure_logging
from services.common.vitals import Vitals
from services.core.space import Assignment
from services.core.trial import SplitScores
from services.worker.app import RunningEvaluator, RunningWorker, running_worker
from services.worker.ports import Advisor, Evaluation, Preparation, Standard
from services.worker.settings import WorkerSettings

SECONDS_VARIABLE = "BENCH_TRIAL_SECONDS"
SPREAD_VARIABLE = "BENCH_TRIAL_SPREAD"
TIMES_VARIABLE = "BENCH_TRIAL_TIMES"
ARGUMENTS = ("-m", "benchmarks.timed_worker")


class TimedEvaluator:
    """Takes a given time for every trial, on the worker's own loop; the score is `score_of`.

    Args:
        seconds: what a trial takes.
        spread: by which share of that it may take more or less, below 1.
        note: is told when a trial began and ended, on the monotonic clock.
    """

    def __init__(
        self,
        seconds: float,
        *,
        spread: float = 0.0,
        note: Callable[[float, float], None] = lambda *_: None,
    ) -> None:
        self._seconds = seconds
        self._spread = spread
        self._note = note
        self.busy = 0

    async def evaluate(
        self,
        preparation: Preparation,
        parameters: Assignment,
        *,
        timeout_seconds: float | None,  # noqa: ARG002 (never reached)
        on_split: Callable[[int, float], None],  # noqa: ARG002 (nothing is told before the end)
        standard: Standard | None = None,  # noqa: ARG002 (as above)
        advisor: Advisor | None = None,  # noqa: ARG002 (as above)
    ) -> Evaluation:
        """Waits and scores; every split has the same score."""
        self.busy += 1
        began = time.monotonic()
        try:
            if self._seconds:
                await asyncio.sleep(self._seconds * self._share(parameters))
        finally:
            self.busy -= 1
            self._note(began, time.monotonic())
        spec = preparation.spec
        scores = (score_of(parameters),) * spec.cv_folds
        return Evaluation(
            metrics=tuple(SplitScores(metric=each, scores=scores) for each in spec.metrics),
            fit_seconds=self._seconds,
        )

    def _share(self, parameters: Assignment) -> float:
        if not self._spread:
            return 1.0
        drawn = random.Random(repr(sorted(parameters.items()))).uniform(-1.0, 1.0)
        return 1.0 + self._spread * drawn


def score_of(parameters: Assignment) -> float:
    """The objective: minus the sum of squares of what is a number."""
    return -sum(
        float(value) ** 2
        for value in parameters.values()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    )


@asynccontextmanager
async def timed(settings: WorkerSettings, vitals: Vitals) -> AsyncIterator[RunningEvaluator]:  # noqa: ARG001 (as the port's)
    """Evaluates in no time, or in BENCH_TRIAL_SECONDS."""
    folder = os.environ.get(TIMES_VARIABLE, "")
    path = Path(folder) / f"{os.getpid()}.times" if folder else Path(os.devnull)
    with path.open("a", encoding="utf-8", buffering=1) as times:
        evaluator = TimedEvaluator(
            float(os.environ.get(SECONDS_VARIABLE, "0")),
            spread=float(os.environ.get(SPREAD_VARIABLE, "0")),
            note=lambda began, ended: print(began, ended, file=times),
        )
        yield RunningEvaluator(evaluator=evaluator, busy=lambda: evaluator.busy)


def main() -> int:
    """Runs until SIGTERM."""
    settings = load(WorkerSettings, os.environ)
    configure_logging("worker", level=settings.log_level, log_format=settings.log_format)

    @asynccontextmanager
    async def start(vitals: Vitals) -> AsyncIterator[RunningWorker]:
        topology = Topology(prefix=settings.queue_prefix)
        async with (
            RabbitBroker(settings.amqp_url, topology, vitals=vitals) as broker,
            running_worker(settings, broker, vitals, evaluation=timed) as worker,
        ):
            yield worker

    return run_service(start)


if __name__ == "__main__":
    sys.exit(main())

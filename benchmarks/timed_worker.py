"""A worker as any other, whose trials fit nothing: they wait for a given time and score their parameters.

`python -m benchmarks.timed_worker` takes the settings of `python -m services.worker`, and
BENCH_TRIAL_SECONDS, the duration of every trial: 0 by default, at once. Only what evaluates is another
one, through the worker's own port; messages, claims, reports and their durability are the real ones.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

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
ARGUMENTS = ("-m", "benchmarks.timed_worker")


class TimedEvaluator:
    """Takes a given time for every trial, on the worker's own loop; the score is `score_of`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
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
        try:
            if self._seconds:
                await asyncio.sleep(self._seconds)
        finally:
            self.busy -= 1
        spec = preparation.spec
        scores = (score_of(parameters),) * spec.cv_folds
        return Evaluation(
            metrics=tuple(SplitScores(metric=each, scores=scores) for each in spec.metrics),
            fit_seconds=self._seconds,
        )


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
    evaluator = TimedEvaluator(float(os.environ.get(SECONDS_VARIABLE, "0")))
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

"""P8: how late events reach 1,000 watchers of one orchestration that emits 50 of them a second.

From an event's time in the database to its arrival at each watcher. Events are folds that a worker
reports, through the store's own API and its transactions: every 20 ms one, and with a report what became
due while the one before it was answered, as workers do it. Watchers are open streams in a process of
their own; what they and the store take of the processors is in the notes. Rounds alternate without and
beside a watcher that does not read its stream. There is no peer with such a stream.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import psutil

from benchmarks.emitter import EVENTS_PER_SECOND, Emitter
from benchmarks.percentiles import percentile
from benchmarks.program import Size, run
from benchmarks.rows import Row
from benchmarks.searches import SPACE, timed_model
from benchmarks.stack import Stack, running, servers
from testbed.paths import ROOT
from testbed.processes import service_environment

_WATCHERS = 1_000
_P50_GOAL, _P99_GOAL, _STUCK_GOAL = 0.060, 0.250, 0.05
_SETTLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Pairs of rounds, each of so many seconds."""

    rounds: int
    seconds: float


_PLANS = {Size.QUICK: Plan(rounds=2, seconds=8.0), Size.FULL: Plan(rounds=5, seconds=60.0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round showed: seconds, cores, events that reached a watcher each second, and the machine's load."""

    p50: float
    p99: float
    events: float
    store_cores: float
    watcher_cores: float
    load: float


def measure(size: Size) -> list[Row]:
    """Measures rounds without and beside a stuck watcher in turn."""
    plan = _PLANS[size]
    with servers() as on, running(on, workers=0) as stack:
        return asyncio.run(_measure(stack, plan))


async def _measure(stack: Stack, plan: Plan) -> list[Row]:
    started = stack.client.tune(
        timed_model(stack), distributions=SPACE, method="random_search", n_iter=10
    )
    (run_of,) = started.stages[0].tuning_runs
    free: list[Round] = []
    beside: list[Round] = []
    async with Emitter.of(stack, started.orchestration_id, run_of.tuning_run_id) as emitter:
        emitting = asyncio.create_task(emitter.run())
        with _crowd(stack, started.orchestration_id) as crowd:
            for turn in range(plan.rounds):
                for stuck in (False, True) if turn % 2 == 0 else (True, False):
                    found = await asyncio.to_thread(_round, stack, crowd, plan, stuck=stuck)
                    (beside if stuck else free).append(found)
                    print(f"  stuck {stuck}: {found}", flush=True)
                    if emitting.done():
                        emitting.result()
        emitter.stop()
        await emitting
    return _rows(free, beside)


def _rows(free: list[Round], beside: list[Round]) -> list[Row]:
    p50, p99 = median(each.p50 for each in free), median(each.p99 for each in free)
    # Each pair is one moment of the machine.
    change = median(late.p99 / each.p99 for each, late in zip(free, beside, strict=True)) - 1
    store, crowd = (
        median(each.store_cores for each in free),
        median(each.watcher_cores for each in free),
    )
    events, load = median(each.events for each in free), median(each.load for each in free)
    watching = f"{_WATCHERS:,} watchers of {EVENTS_PER_SECOND:g} events/s"
    return [
        Row(
            name="P8",
            work=f"{watching}: an event's commit to its arrival",
            goal=f"p50 ≤ {1e3 * _P50_GOAL:g} ms, p99 ≤ {1e3 * _P99_GOAL:g} ms",
            ours=1e3 * p50,
            unit="ms (p50)",
            met=p50 <= _P50_GOAL and p99 <= _P99_GOAL,
            note=f"p99 {1e3 * p99:.0f} ms; {events:.0f} events/s arrived at each; the store took"
            f" {store:.2f} cores, the watchers' process {crowd:.2f}; load average {load:.1f}",
        ),
        Row(
            name="P8 stuck",
            work=f"{watching}, one more that does not read: what it adds to the others' p99",
            goal=f"≤ +{_STUCK_GOAL:.0%}",
            ours=100 * change,
            unit="%",
            met=change <= _STUCK_GOAL,
            note="p99 "
            + ", ".join(
                f"{1e3 * each.p99:.0f} → {1e3 * late.p99:.0f} ms"
                for each, late in zip(free, beside, strict=True)
            ),
        ),
    ]


def _round(stack: Stack, crowd: _Crowd, plan: Plan, *, stuck: bool) -> Round:
    store = psutil.Process(
        next(each.pid for each in stack.cluster.processes if each.name == "store")
    )
    if stuck:
        crowd.ask("stuck")
    time.sleep(_SETTLE_SECONDS)
    crowd.ask("clear")
    begun, store_before, crowd_before = time.perf_counter(), _cpu(store), _cpu(crowd.process)
    time.sleep(plan.seconds)
    seconds = time.perf_counter() - begun
    store_took, crowd_took = _cpu(store) - store_before, _cpu(crowd.process) - crowd_before
    report = json.loads(crowd.ask("report"))
    if stuck:
        crowd.ask("unstuck")
    if report["failures"]:
        raise RuntimeError(f"the watchers' streams broke: {report['failures']}")
    latencies = report["latencies"]
    return Round(
        p50=percentile(latencies, 0.50),
        p99=percentile(latencies, 0.99),
        events=len(latencies) / _WATCHERS / seconds,
        store_cores=store_took / seconds,
        watcher_cores=crowd_took / seconds,
        load=os.getloadavg()[0],
    )


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


class _Crowd:
    """The watchers' process."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self._popen = popen
        self.process = psutil.Process(popen.pid)

    def ask(self, word: str) -> str:
        """Says a word and gives the answer."""
        if self._popen.stdin is not None:
            self._popen.stdin.write(f"{word}\n")
            self._popen.stdin.flush()
        return self.answer()

    def answer(self) -> str:
        """Gives the next line it says."""
        line = "" if self._popen.stdout is None else self._popen.stdout.readline().strip()
        if not line:
            raise RuntimeError("the watchers' process has ended")
        return line


@contextmanager
def _crowd(stack: Stack, orchestration_id: str) -> Iterator[_Crowd]:
    popen = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "benchmarks.watchers",
            stack.cluster.store_address,
            orchestration_id,
            str(_WATCHERS),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=service_environment({}),
    )
    try:
        crowd = _Crowd(popen)
        if crowd.answer() != "open":
            raise RuntimeError("the watchers could not open their streams")
        yield crowd
    finally:
        popen.kill()
        popen.communicate()


if __name__ == "__main__":
    run(measure, __doc__)

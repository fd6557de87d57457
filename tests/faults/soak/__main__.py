"""Measures what faults cost, then breaks everything at once for a while, and judges.

Prints the table of docs/operations.md. Exits with 1 when a promise was broken; figures that miss
their bounds are said plainly and fail nothing: machines differ.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from testbed.brokers import rabbitmq_program
from testbed.rabbit_node import rabbit_node
from testbed.stopping import stop_on_signals
from tests.faults.soak.figures import Figure, table
from tests.faults.soak.measures import measure
from tests.faults.soak.storm import Storm
from tests.faults.support.fleet import Fleet
from tests.faults.support.postgres_node import postgres_node
from tests.faults.support.proxy import Links
from tests.faults.support.scenario import Scenario, new_scenario
from tests.support.hostility import injected

_POSTGRES_SECRET = "planted-postgres-soak"
_RABBITMQ_SECRET = "planted-rabbitmq-soak"
_QUIET_SECONDS = 600.0
_PRODUCTION = {
    "CRESCENDO_LEASE_SECONDS": "35",
    "CRESCENDO_BEAT_SECONDS": "10",
    "CRESCENDO_SEARCHER_LEASE_SECONDS": "10",
    "CRESCENDO_DISPATCH_SECONDS": "60",
    "CRESCENDO_BOOKMARK_SECONDS": "10",
    "CRESCENDO_WORKER_DRAIN_SECONDS": "3",
}


def main() -> int:
    """Runs the soak. Returns: the exit status."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="of storm (30)")
    parser.add_argument("--seed", type=int, default=1, help="of all chance (1)")
    parser.add_argument("--watchers", type=int, default=1000, help="of one search (1000)")
    parser.add_argument("--workers", type=int, default=3, help="worker processes (3)")
    parser.add_argument("--no-figures", action="store_true", help="only the storm")
    options = parser.parse_args()
    stop_on_signals()
    program = rabbitmq_program()
    if program is None:
        sys.stderr.write("error: no RabbitMQ to start; install rabbitmq-server\n")
        return 2
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        folder.chmod(0o755)
        postgres = stack.enter_context(
            postgres_node(folder / "postgres", password=_POSTGRES_SECRET)
        )
        credentials = ("crescendo", _RABBITMQ_SECRET)
        rabbitmq = stack.enter_context(
            rabbit_node(program, folder / "rabbitmq", credentials=credentials)
        )
        logs = folder / "fleet"
        logs.mkdir()
        fleet = stack.enter_context(
            Fleet(
                postgres=postgres,
                rabbitmq=rabbitmq,
                links=stack.enter_context(Links(seed=options.seed)),
                folder=logs,
                store_count=2,
                coordinator_count=2,
                worker_count=options.workers,
                settings=_PRODUCTION,
                worker_environ=injected(FAULTS_SIGNS=str(logs)),
                secrets=(_POSTGRES_SECRET, _RABBITMQ_SECRET),
            )
        )
        scenario = new_scenario(fleet, options.seed)
        return _soak(scenario, options)


def _soak(scenario: Scenario, options: argparse.Namespace) -> int:
    figures: list[Figure] = []
    if not options.no_figures:
        for figure in measure(scenario, watchers=options.watchers):
            figures.append(figure)
            _say(f"{figure.what}: {figure.measured} (bound: {figure.bound})")
    storm = Storm(scenario=scenario)
    _say(f"storm of {options.minutes:g} minutes, seed {options.seed}")
    storm.rage(60 * options.minutes)
    _say("over; waiting for quiet")
    began = time.monotonic()
    try:
        history = scenario.check(bound_seconds=_QUIET_SECONDS)
    except AssertionError as error:
        _say(f"BROKEN PROMISES:\n{error}")
        verdict, status = f"broken: {str(error).splitlines()[0]}", 1
        trials = scenario.ended_trials()
    else:
        trials = sum(len(log.trials) for log in history.logs.values())
        verdict, status = "I1–I10 hold", 0
    figures.append(
        Figure(
            what=f"{options.minutes:g} minutes of everything at once",
            bound="I1–I10",
            measured=(
                f"{verdict}: {len(scenario.asked)} searches, {trials} trials,"
                f" {len(scenario.watchers)} watchers; quiet after {time.monotonic() - began:.0f} s"
            ),
            met=status == 0,
        )
    )
    sys.stdout.write(f"\n{table(figures)}\n\n")
    _say(f"{platform.machine()}, {_cores()} cores, Python {platform.python_version()}")
    _say("done: " + ", ".join(f"{name} ×{count}" for name, count in storm.done.most_common()))
    return status


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

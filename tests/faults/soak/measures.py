"""What each fault costs, one at a time, on a fleet with the leases of production."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime

import psutil

from crescendo.client.errors import CrescendoError
from crescendo.client.library import Crescendo
from tests.faults.soak.crowd import Crowd
from tests.faults.soak.figures import Figure, percentile, spread
from tests.faults.soak.looking import (
    busy_workers,
    claims_since,
    database_time,
    requeues_since,
    running_trials,
    searcher_owner,
    stale_share,
)
from tests.faults.support.fleet import wait_for
from tests.faults.support.scenario import Asked, Scenario
from tests.faults.support.workloads import endless_grid, quick_grid, slow_grid
from tests.support.hostility import smoothing

WORKER_KILLS = 10
BROKER_KILLS = 3
TAKEOVERS = 5
SUBMISSIONS = 200
CANCELS = 5
WATCH_SECONDS = 20.0
QUICK_TRIALS = 1000


def measure(scenario: Scenario, *, watchers: int) -> Iterator[Figure]:
    """Measures one figure after the other; every search it starts is ended again."""
    yield stale_messages(scenario)
    yield requeue_after_kill(scenario)
    yield dispatch_after_broker(scenario)
    yield searcher_takeover(scenario)
    yield submission_without_broker(scenario)
    yield cancel_to_death(scenario)
    yield frozen_peer(scenario)
    yield from watching(scenario, watchers)


def stale_messages(scenario: Scenario) -> Figure:
    """The share of trials in messages that turned out to be stale, without any fault."""
    asked = scenario.tune(quick_grid(scenario.subjects, QUICK_TRIALS), trials=QUICK_TRIALS)
    _await_end(scenario, asked, 300)
    share = stale_share(scenario.fleet.logs, QUICK_TRIALS)
    return Figure(
        what="Stale messages without faults",
        bound="≤ 1 %",
        measured=f"{share:.2%} of {QUICK_TRIALS} trials",
        met=share <= 0.01,
    )


def requeue_after_kill(scenario: Scenario) -> Figure:
    """From `kill -9` of a worker until its trial is queued again."""
    fleet = scenario.fleet
    asked = scenario.tune(slow_grid(scenario.subjects, 300, trees=2000), trials=None)
    took: list[float] = []
    for _ in range(WORKER_KILLS):
        # Long trials, so that what was claimed still runs when its worker dies.
        wait_for(lambda: _running(scenario) >= len(fleet.workers), "all workers work", seconds=90)
        victim = fleet.worker_named(scenario.rng.choice(busy_workers(fleet.dsn)))
        since = database_time(fleet.dsn)
        victim.kill()
        took.append(_first(requeues_since, scenario, since))
        victim.start()
    _cancel(scenario, asked)
    return Figure(
        what="Worker `kill -9` → its trial queued again",
        bound="p50 ≤ 7 s, p99 ≤ 40 s",
        measured=spread(took),
        met=percentile(took, 0.5) <= 7 and percentile(took, 0.99) <= 40,
    )


def dispatch_after_broker(scenario: Scenario) -> Figure:
    """From the broker's return after `kill -9` until a worker claims a trial."""
    fleet = scenario.fleet
    took: list[float] = []
    for _ in range(BROKER_KILLS):
        asked = scenario.tune(slow_grid(scenario.subjects, 40), trials=40)
        wait_for(lambda: _running(scenario) > 0, "trials run", seconds=60)
        fleet.rabbitmq.kill()
        # What runs ends; then nothing can be claimed any more.
        wait_for(lambda: _running(scenario) == 0, "running trials end undisturbed", seconds=60)
        fleet.rabbitmq.start()
        since = database_time(fleet.dsn)
        took.append(_first(claims_since, scenario, since))
        _cancel(scenario, asked)
    return Figure(
        what="Broker killed → first dispatch after its return",
        bound="≤ 15 s",
        measured=spread(took),
        met=max(took) <= 15,
    )


def searcher_takeover(scenario: Scenario) -> Figure:
    """From `kill -9` of a coordinator until another one owns its searchers."""
    fleet = scenario.fleet
    asked = scenario.tune(slow_grid(scenario.subjects, 400), trials=400)
    took: list[float] = []
    for _ in range(TAKEOVERS):
        wait_for(
            lambda: searcher_owner(fleet.dsn, asked.orchestration_id) != "", "an owner", seconds=60
        )
        owner = searcher_owner(fleet.dsn, asked.orchestration_id)
        victims = [
            each
            for each in fleet.coordinators
            if each.process is not None and owner in each.process.log.read_text(errors="replace")
        ]
        began = time.monotonic()
        for victim in victims:
            victim.kill()
        wait_for(
            lambda owner=owner: (
                searcher_owner(fleet.dsn, asked.orchestration_id) not in ("", owner)
            ),  # type: ignore[misc]  # (bound now)
            "another owner",
            seconds=60,
        )
        took.append(time.monotonic() - began)
        for victim in victims:
            victim.start()
    _cancel(scenario, asked)
    return Figure(
        what="Searcher takeover", bound="≤ 15 s", measured=spread(took), met=max(took) <= 15
    )


def submission_without_broker(scenario: Scenario) -> Figure:
    """How long a request takes to be accepted while the broker is away."""
    fleet = scenario.fleet
    fleet.rabbitmq.stop()
    took: list[float] = []
    for _ in range(SUBMISSIONS):
        began = time.monotonic()
        asked = scenario.tune(quick_grid(scenario.subjects, 5), trials=5)
        if asked.answers:
            took.append(1000 * (time.monotonic() - began))
    fleet.rabbitmq.start()
    _await_quiet(scenario, 300)
    return Figure(
        what="Submitting with the broker down",
        bound="all accepted, p99 ≤ 200 ms",
        measured=f"{len(took)} of {SUBMISSIONS} accepted, {spread(took, 'ms')}",
        met=len(took) == SUBMISSIONS and percentile(took, 0.99) <= 200,
    )


def cancel_to_death(scenario: Scenario) -> Figure:
    """From the answer to a cancellation until the children that ran its trials are dead."""
    took: list[float] = []
    body = quick_grid(scenario.subjects, 1)
    body["param_grid"] = {"var_smoothing": [smoothing("loop_in_c"), smoothing("loop_in_python")]}
    for _ in range(CANCELS):
        known = _signs(scenario)
        asked = scenario.tune(body, trials=None)
        wait_for(lambda known=known: len(_signs(scenario) - known) >= 2, "both loop", seconds=60)  # type: ignore[misc]  # (bound now)
        looping = [psutil.Process(pid) for pid in _signs(scenario) - known]
        began = time.monotonic()
        _cancel(scenario, asked)
        _, alive = psutil.wait_procs(looping, timeout=30)
        took.append(math.inf if alive else time.monotonic() - began)
    return Figure(
        what="Cancel → child dead", bound="≤ 8 s", measured=spread(took), met=max(took) <= 8
    )


def frozen_peer(scenario: Scenario) -> Figure:
    """From the freeze of a store until a stream of a client notices."""
    fleet = scenario.fleet
    asked = scenario.tune(slow_grid(scenario.subjects, 400), trials=400)
    took: list[float] = []
    for store in fleet.stores:
        wait_for(lambda: _running(scenario) > 0, "trials run", seconds=60)
        found = threading.Event()
        with Crescendo(store.clients, store.clients) as crescendo:
            items = crescendo.watch(asked.orchestration_id, 0, on_interruption=_sets(found))
            next(items)
            store.freeze()
            began = time.monotonic()
            follower = threading.Thread(target=_follow, args=(items,), daemon=True)
            follower.start()
            found.wait(120)
            took.append(time.monotonic() - began)
        store.thaw()
        wait_for(store.serves, "it serves again", seconds=60)
    _cancel(scenario, asked)
    return Figure(
        what="Frozen store found by a client's watch",
        bound="≤ 30 s",
        measured=spread(took),
        met=bool(took) and max(took) <= 30,
    )


def watching(scenario: Scenario, watchers: int) -> Iterator[Figure]:
    """How late events are with many watchers, what a stuck one changes, and what an idle one costs."""
    store = scenario.fleet.stores[0]
    idle = scenario.tune(endless_grid(scenario.subjects, 1), trials=None)
    _await_silence(scenario)
    before = psutil.Process(store.pid).memory_info().rss
    with Crowd(store.addresses[0], idle.orchestration_id, watchers):
        time.sleep(5)
        kept = (psutil.Process(store.pid).memory_info().rss - before) / watchers / 1024
    _cancel(scenario, idle)
    # What is measured is the stream, not how fits and watchers share the machine.
    resting = scenario.fleet.workers[1:]
    for each in resting:
        each.terminate()
    asked = scenario.tune(slow_grid(scenario.subjects, 400, trees=60), trials=400)
    with Crowd(store.addresses[0], asked.orchestration_id, watchers) as crowd:
        rounds: list[list[float]] = []
        for stuck in (False, True):
            if stuck:
                crowd.add_stuck()
            crowd.clear()
            time.sleep(WATCH_SECONDS)
            rounds.append([1000 * each for each in crowd.latencies()])
    _cancel(scenario, asked)
    for each in resting:
        each.start()
    alone, beside = (percentile(each, 0.99) for each in rounds)
    change = beside / alone - 1
    yield Figure(
        what=f"Event latency with {watchers} watchers",
        bound="p50 ≤ 60 ms, p99 ≤ 250 ms",
        measured=spread(rounds[0], "ms"),
        met=percentile(rounds[0], 0.5) <= 60 and alone <= 250,
    )
    yield Figure(
        what="A stuck watcher changes the others' p99 by",
        bound="≤ 5 %",
        measured=f"{change:+.0%} (p99 {alone:.0f} → {beside:.0f} ms)",
        met=change <= 0.05,
    )
    yield Figure(what="Idle watch", bound="≤ 32 KiB", measured=f"{kept:.1f} KiB", met=kept <= 32)


def _first(
    happened: Callable[[str, datetime], list[float]], scenario: Scenario, since: datetime
) -> float:
    """Waits until something has happened since then, and gives how long after, in seconds."""
    dsn = scenario.fleet.dsn
    wait_for(lambda: bool(happened(dsn, since)), "it has happened", seconds=120)
    return happened(dsn, since)[0]


def _running(scenario: Scenario) -> int:
    return running_trials(scenario.fleet.dsn)


def _cancel(scenario: Scenario, asked: Asked) -> None:
    scenario.steer("Cancel", asked)


def _await_end(scenario: Scenario, asked: Asked, seconds: float) -> None:
    scenario.client.wait_for_end(asked.orchestration_id, timeout=seconds)


def _await_quiet(scenario: Scenario, seconds: float) -> None:
    scenario.await_quiet(seconds)


def _await_silence(scenario: Scenario) -> None:
    wait_for(lambda: _running(scenario) > 0, "it runs", seconds=60)
    time.sleep(3)


def _sets(event: threading.Event) -> Callable[[object], None]:
    return lambda _: event.set()


def _follow(items: Iterator[object]) -> None:
    with contextlib.suppress(CrescendoError, ValueError):
        for _ in items:
            pass


def _signs(scenario: Scenario) -> set[int]:
    """Gives the processes that have begun to misbehave."""
    return {int(path.stem.partition("-")[2]) for path in scenario.fleet.folder.glob("child-*.sign")}

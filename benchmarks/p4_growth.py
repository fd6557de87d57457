"""P4: what a trial costs as its search grows, from the first hundreds to the last thousands.

One search of trials that return at once. Cost is processor time of store, coordinator, worker and Postgres
per trial: the work done, which a busy machine stretches but does not change. Optuna's, whose trials wait
for nothing but Postgres, is its time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise

from benchmarks import optuna_peer, timed_worker
from benchmarks.program import Size, run
from benchmarks.rows import Row
from benchmarks.searches import SPACE, grid_of, timed_model
from benchmarks.stack import Stack, running, servers
from benchmarks.usage import Meter
from crescendo.client.model.states import ENDED

_GOAL = 1.2
_MEMORY_GOAL_MIB = 100.0
_LOOK_SECONDS = 0.1
# From these trials on, over a quarter as many more, at least this many: batches hold hundreds.
_MARKS = {Size.QUICK: (100, 1_000, 10_000), Size.FULL: (100, 1_000, 10_000, 100_000)}
_FEWEST = 900
# The mark the others are compared with: before it batches are still finding their size.
_REFERENCE = 1_000
_OPTUNA_MARKS = {Size.QUICK: (100, 600), Size.FULL: (100, 1_000, 5_000)}
_OPTUNA_TRIALS = 100


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a search under way: trials ended, seconds, processor seconds, MiB by service."""

    ended: int
    seconds: float
    processor_seconds: float
    memory: dict[str, float]


def measure(size: Size) -> list[Row]:
    """Measures random and grid searches, and how Optuna's trials grow dearer."""
    marks = _MARKS[size]
    total = marks[-1] + _window(marks[-1])
    rows = []
    with servers() as on:
        with on.database() as dsn:
            optuna = _optuna(optuna_peer.rdb(dsn), _OPTUNA_MARKS[size])
        for kind in ("random_search", "grid_search"):
            with running(on, slots=2, worker=timed_worker.ARGUMENTS) as stack:
                looks = _looks(stack, kind, total)
            rows += _rows(kind, looks, marks, optuna, _OPTUNA_MARKS[size])
    return rows


def _looks(stack: Stack, method: str, trials: int) -> list[Look]:
    meter, client = Meter(stack), stack.client
    grid = method == "grid_search"
    model_run_id = timed_model(stack)
    begun = time.perf_counter()
    started = client.tune(
        model_run_id,
        grid_of(trials) if grid else None,
        distributions=None if grid else SPACE,
        method=method,
        n_iter=None if grid else trials,
        cv_folds=2,
        try_current_parameters=None if grid else False,
    )
    looks: list[Look] = []
    while True:
        found = client.status(started.orchestration_id)
        usage = meter.read()
        looks.append(
            Look(
                found.counts.completed,
                time.perf_counter() - begun,
                usage.processor_seconds,
                usage.memory,
            )
        )
        if found.state in ENDED:
            return looks
        time.sleep(_LOOK_SECONDS)


def _window(mark: int) -> int:
    return max(_FEWEST, mark // 4)


def _rows(
    kind: str,
    looks: list[Look],
    marks: tuple[int, ...],
    optuna: list[float],
    optuna_marks: tuple[int, ...],
) -> list[Row]:
    costs = {
        mark: 1000.0 * (_at(looks, mark + _window(mark)) - _at(looks, mark)) / _window(mark)
        for mark in marks
    }
    reference, last = costs[_REFERENCE], costs[marks[-1]]
    name = "P4" if kind == "random_search" else "P4 grid"
    shown = ", ".join(f"{mark:,}: {cost:.3g} ms" for mark, cost in costs.items())
    theirs = ", ".join(
        f"{mark:,}: {1000 * each:.3g} ms" for mark, each in zip(optuna_marks, optuna, strict=True)
    )
    rate = looks[-1].ended / looks[-1].seconds
    cost = Row(
        name=name,
        work=f"processor time of a trial at {marks[-1]:,} against {_REFERENCE:,}, {kind}",
        goal=f"≤ {_GOAL:g}×",
        ours=last,
        peer=reference,
        peer_name=f"ours at {_REFERENCE:,}",
        unit="ms/trial",
        ratio=last / reference,
        met=last / reference <= _GOAL,
        note=f"{shown}; {rate:,.0f} trials/s in all; Optuna RDB's time by its trials: {theirs}",
    )
    early = next(each for each in looks if each.ended >= _REFERENCE).memory
    late = looks[-1].memory
    grown = sum(late[each] - early[each] for each in ("store", "coordinator"))
    memory = Row(
        name=f"{name} memory",
        work=f"memory of store and coordinator from {_REFERENCE:,} to {looks[-1].ended:,} trials",
        goal=f"≤ {_MEMORY_GOAL_MIB:g} MiB more",
        ours=grown,
        unit="MiB",
        met=grown <= _MEMORY_GOAL_MIB,
        note=", ".join(f"{each} {early[each]:.0f} → {late[each]:.0f} MiB" for each in late),
    )
    return [cost, memory]


def _at(looks: list[Look], ended: int) -> float:
    """Processor seconds when so many trials had ended, between the looks before and after."""
    for before, after in pairwise(looks):
        if before.ended <= ended <= after.ended and after.ended > before.ended:
            share = (ended - before.ended) / (after.ended - before.ended)
            return before.processor_seconds + share * (
                after.processor_seconds - before.processor_seconds
            )
    return looks[-1].processor_seconds


def _optuna(storage: optuna_peer.Storage, marks: tuple[int, ...]) -> list[float]:
    """Seconds of a trial of Optuna's after so many trials of the same study."""
    study, made, costs = optuna_peer.new_study(storage), 0, []
    for mark in marks:
        _go_on(storage, study, mark - made)
        costs.append(_go_on(storage, study, _OPTUNA_TRIALS) / _OPTUNA_TRIALS)
        made = mark + _OPTUNA_TRIALS
    return costs


def _go_on(storage: optuna_peer.Storage, study: str, trials: int) -> float:
    return optuna_peer.seconds_of(
        storage, sampler="random", trials=trials, processes=1, study=study
    )


if __name__ == "__main__":
    run(measure, __doc__)

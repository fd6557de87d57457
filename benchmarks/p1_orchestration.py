"""P1: what orchestration costs, beside Optuna on the same Postgres.

The objective returns at once, so all the time is orchestration's: 4 parameters, every trial durable. Ours
goes the whole way of a trial: coordinator, store, RabbitMQ, worker, and back, each a process. Optuna's way
is shorter: its processes write to Postgres themselves, or through its gRPC proxy; it has no queue, no
leases and no events.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import optuna_peer, timed_worker
from benchmarks.program import Size, run
from benchmarks.repeats import Figures, in_turn
from benchmarks.rows import Row
from benchmarks.searches import SPACE, grid_of, timed_model, wait_completed
from benchmarks.stack import Stack, running, servers

# The best of what was tried for each: processes for Optuna, slots for ours.
_OPTUNA_PROCESSES = 2
_SLOTS = 2
# Model-based searches have as many trials open as there are slots: more are asked for, and written, together.
_TPE_SLOTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many trials of each kind, and how often; a peer's rate does not grow with more of them."""

    ours: int = 5_000
    optuna: int = 200
    proxy: int = 40
    tpe: tuple[int, ...] = (500,)
    repeats: int = 3


_PLANS = {
    Size.QUICK: Plan(),
    Size.FULL: Plan(optuna=5_000, proxy=500, tpe=(500, 5_000), repeats=5),
}


def measure(size: Size) -> list[Row]:
    """Measures random, grid and TPE searches beside Optuna's."""
    plan = _PLANS[size]
    with servers() as on, on.database() as dsn:
        storage = optuna_peer.rdb(dsn)
        with (
            optuna_peer.grpc_proxy(storage) as proxy,
            running(on, slots=_SLOTS, worker=timed_worker.ARGUMENTS) as stack,
        ):
            rows = _simple(_Rates(stack), storage, proxy, plan)
        with running(on, slots=_TPE_SLOTS, worker=timed_worker.ARGUMENTS) as stack:
            rows += [_modelled(_Rates(stack), storage, plan, trials) for trials in plan.tpe]
    return rows


def _simple(
    rates: _Rates, storage: optuna_peer.Storage, proxy: optuna_peer.Storage, plan: Plan
) -> list[Row]:
    found = in_turn(
        {
            "random": lambda: rates.of("random_search", plan.ours),
            "grid": lambda: rates.of("grid_search", plan.ours),
            "rdb": _optuna(storage, "random", plan.optuna),
            "proxy": _optuna(proxy, "random", plan.proxy),
        },
        repeats=plan.repeats,
        warm_up={
            "random": lambda: rates.of("random_search", 1_000),
            "rdb": _optuna(storage, "random", 50),
        },
    )
    return [
        _row("P1", "random", plan.ours, found["random"], found, goal=30.0),
        _row("P1 grid", "grid", plan.ours, found["grid"], found, goal=30.0),
    ]


def _modelled(rates: _Rates, storage: optuna_peer.Storage, plan: Plan, trials: int) -> Row:
    found = in_turn(
        {"tpe": lambda: rates.of("tpe", trials), "rdb": _optuna(storage, "tpe", trials)},
        repeats=plan.repeats if trials <= 500 else 1,
    )
    goal = 5.0 if trials <= 500 else 2.0
    return _row(f"P1 tpe {trials}", "tpe", trials, found["tpe"], found, goal=goal)


def _optuna(at: optuna_peer.Storage, sampler: str, trials: int) -> Callable[[], float]:
    def rate() -> float:
        return trials / optuna_peer.seconds_of(
            at, sampler=sampler, trials=trials, processes=_OPTUNA_PROCESSES
        )

    return rate


class _Rates:
    """Runs searches of ours."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._model_run_id = timed_model(stack)

    def of(self, method: str, trials: int) -> float:
        """Trials a second, from the request to the end of the search."""
        client = self._stack.client
        grid = method == "grid_search"
        begun = time.perf_counter()
        started = client.tune(
            self._model_run_id,
            grid_of(trials) if grid else None,
            distributions=None if grid else SPACE,
            method=method,
            n_iter=None if grid else trials,
            cv_folds=2,
            try_current_parameters=None if grid else False,
        )
        done = wait_completed(self._stack, started.orchestration_id)
        return done / (time.perf_counter() - begun)


def _row(
    name: str, kind: str, trials: int, ours: Figures, others: dict[str, Figures], *, goal: float
) -> Row:
    peer = others["rdb"]
    ratio = ours.median / peer.median
    notes = [f"ours {ours.spread}", f"Optuna {peer.spread}"]
    if "proxy" in others:
        notes.append(f"through its gRPC proxy {others['proxy'].spread}")
    return Row(
        name=name,
        work=f"{trials:,} trials that return at once, {kind}",
        goal=f"≥ {goal:g}×",
        ours=ours.median,
        peer=peer.median,
        peer_name=f"Optuna RDB, {_OPTUNA_PROCESSES} processes",
        unit="trials/s",
        ratio=ratio,
        met=ratio >= goal,
        note="; ".join(notes),
    )


if __name__ == "__main__":
    run(measure, __doc__)

"""P5: how long a suggestion takes, and how long slots wait for one.

Suggestions are asked for as the coordinator asks: of the searcher's process, told all trials so far. The
peers are told the same trials: scikit-optimize's Gaussian process, as many as it stands, and Optuna's TPE.
Then two slots run trials of a second each, once by each method; what they stand idle is the way between a
trial's end and the next one's start, the suggestion in it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from random import Random
from statistics import median
from typing import Any

from benchmarks import timed_worker
from benchmarks.peers import peer
from benchmarks.program import Size, run
from benchmarks.rows import Row
from benchmarks.searches import SPACE, timed_model, wait_completed
from benchmarks.stack import Servers, running, servers
from services.coordinator.adapters.searchers.suggesting import PooledSuggesting
from services.coordinator.ports import SearchTask
from services.core.space import Assignment, FloatRange, IntRange, Parameter, SearchSpace
from services.core.trial import SplitScores, Trial, TrialState

_GOAL_SECONDS = 1.0
_IDLE_GOAL = 0.03
_SLOTS = 2
_REPEATS = 5
_HISTORIES = {Size.QUICK: (100, 1_000, 5_000), Size.FULL: (100, 200, 500, 1_000, 2_000, 5_000)}
# Its fits grow with the cube of the trials.
_MOST_SKOPT = 200
_TRIALS = {Size.QUICK: 40, Size.FULL: 300}
_SPACE = SearchSpace(
    parameters=(
        Parameter(name="a", domain=FloatRange(low=0.0, high=0.5)),
        Parameter(name="b", domain=FloatRange(low=0.0, high=0.1)),
        Parameter(name="c", domain=FloatRange(low=1e-6, high=1e-1, log=True)),
        Parameter(name="d", domain=IntRange(low=10, high=500)),
    )
)


def measure(size: Size) -> list[Row]:
    """Measures suggestions of both methods, and idle slots."""
    histories = _HISTORIES[size]
    rows = [
        _suggestion_row("bayesian", histories, "scikit-optimize GP", _skopt_seconds),
        _suggestion_row("tpe", histories, "Optuna TPE", _optuna_seconds),
    ]
    with servers() as on:
        rows += [_idle_row(on, method, _TRIALS[size]) for method in ("bayesian", "tpe")]
    return rows


def _history(count: int) -> list[Trial]:
    """Trials that ended, of points drawn at random, with a smooth score."""
    random = Random(count)
    trials = []
    for number in range(count):
        point: Assignment = {
            "a": random.uniform(0.0, 0.5),
            "b": random.uniform(0.0, 0.1),
            "c": 10.0 ** random.uniform(-6.0, -1.0),
            "d": random.randint(10, 500),
        }
        trials.append(
            Trial(
                orchestration_id="00000000-0000-4000-8000-000000000000",
                number=number,
                tuning_run_id="00000000-0000-4000-8000-000000000001",
                stage_index=0,
                state=TrialState.SUCCEEDED,
                attempt=0,
                parameters=point,
                score=_score(point),
                metrics=(SplitScores(metric="accuracy", scores=(_score(point),) * 5),),
                candidate_index=None,
                phase="random",
                suggestion_index=number,
                suggested_at_sequence=0,
            )
        )
    return trials


def _score(point: Assignment) -> float:
    a, b, c, d = (float(point[name]) for name in "abcd")  # type: ignore[arg-type]  # no tuples
    return -((a - 0.2) ** 2) - (10 * b - 0.3) ** 2 - (math.log10(c) + 3) ** 2 - (d / 500 - 0.5) ** 2


async def _our_seconds(method: str, histories: Sequence[int]) -> dict[int, list[float]]:
    task = SearchTask(
        tuning_run_id="00000000-0000-4000-8000-000000000001",
        method=method,
        space=_SPACE,
        original_space=_SPACE,
        seed=1,
        stage_index=0,
        refined=False,
    )
    found: dict[int, list[float]] = {}
    # The first question of each history tells it whole, as after a takeover; the others follow a search.
    with PooledSuggesting(processes=1, timeout_seconds=600) as suggesting:
        # Warm: libraries are imported while the start-up trials run.
        await suggesting.suggest(task, count=1, first_index=50, known=_history(50))
        for count in histories:
            known = _history(count)
            found[count] = []
            for _ in range(1 + _REPEATS):
                begun = time.perf_counter()
                suggested = await suggesting.suggest(
                    task, count=1, first_index=len(known), known=known
                )
                found[count].append(time.perf_counter() - begun)
                # As in a search: the next question comes with one more trial.
                known = [*known, _ended(known[-1], suggested[0].parameters)]
    return found


def _ended(last: Trial, parameters: Assignment) -> Trial:
    score = _score(parameters)
    return Trial(
        orchestration_id=last.orchestration_id,
        number=last.number + 1,
        tuning_run_id=last.tuning_run_id,
        stage_index=0,
        state=TrialState.SUCCEEDED,
        attempt=0,
        parameters=parameters,
        score=score,
        metrics=(SplitScores(metric="accuracy", scores=(score,) * 5),),
        candidate_index=None,
        phase="model",
        suggestion_index=last.number + 1,
        suggested_at_sequence=0,
    )


def _skopt_seconds(count: int) -> float | None:
    """A fit and a question, as its loop makes of each result; None where that takes minutes."""
    if count > _MOST_SKOPT:
        return None
    skopt = peer("skopt")
    space = [
        skopt.space.Real(0.0, 0.5),
        skopt.space.Real(0.0, 0.1),
        skopt.space.Real(1e-6, 1e-1, prior="log-uniform"),
        skopt.space.Integer(10, 500),
    ]
    optimizer = skopt.Optimizer(
        space, base_estimator="GP", acq_func="EI", n_initial_points=1, random_state=1
    )
    known = _history(count)
    points = [[each.parameters[name] for name in "abcd"] for each in known]
    optimizer.tell(points[:-1], [-(each.score or 0.0) for each in known[:-1]], fit=False)
    begun = time.perf_counter()
    optimizer.tell(points[-1], -(known[-1].score or 0.0))
    optimizer.ask()
    return time.perf_counter() - begun


def _optuna_seconds(count: int) -> float | None:
    """A question of a study that holds the trials in memory."""
    optuna: Any = peer("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {
        "a": optuna.distributions.FloatDistribution(0.0, 0.5),
        "b": optuna.distributions.FloatDistribution(0.0, 0.1),
        "c": optuna.distributions.FloatDistribution(1e-6, 1e-1, log=True),
        "d": optuna.distributions.IntDistribution(10, 500),
    }
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(multivariate=True, seed=1)
    )
    study.add_trials(
        [
            optuna.trial.create_trial(
                params=dict(each.parameters), distributions=distributions, value=each.score
            )
            for each in _history(count)
        ]
    )
    times = []
    for _ in range(_REPEATS):
        begun = time.perf_counter()
        trial = study.ask(distributions)
        times.append(time.perf_counter() - begun)
        study.tell(trial, _score(trial.params))
    return median(times)


def _suggestion_row(method: str, histories: Sequence[int], peer_name: str, theirs: Any) -> Row:
    ours = asyncio.run(_our_seconds(method, histories))
    peers = {count: theirs(count) for count in histories}
    slowest = max(max(each[1:]) for each in ours.values())
    takeover = max(each[0] for each in ours.values())
    ours = {count: each[1:] for count, each in ours.items()}
    compared = max(count for count in histories if peers[count] is not None)
    shown = ", ".join(
        f"{count:,}: {1000 * median(each):.0f} ms"
        + ("" if peers[count] is None else f" (peer {1000 * peers[count]:.0f})")
        for count, each in ours.items()
    )
    return Row(
        name=f"P5 {method}",
        work=f"the slowest suggestion with up to {histories[-1]:,} trials ended, {method}",
        goal=f"≤ {_GOAL_SECONDS:g} s",
        ours=slowest,
        peer=peers[compared],
        peer_name=f"{peer_name} with {compared:,}",
        unit="s",
        ratio=median(ours[compared]) / peers[compared],
        met=slowest <= _GOAL_SECONDS,
        note=f"medians by trials ended: {shown}; the first after a takeover: {takeover:.2g} s",
    )


def _idle_row(on: Servers, method: str, trials: int) -> Row:
    with running(on, slots=_SLOTS, worker=timed_worker.ARGUMENTS, BENCH_TRIAL_SECONDS="1") as stack:
        started = stack.client.tune(
            timed_model(stack),
            distributions=SPACE,
            method=method,
            n_iter=trials,
            cv_folds=2,
            try_current_parameters=False,
        )
        wait_completed(stack, started.orchestration_id)
        made = list(stack.client.trials(started.orchestration_id))
    begun = [each.started_at for each in made if each.started_at is not None]
    ended = [each.finished_at for each in made if each.finished_at is not None]
    wall = (max(ended) - min(begun)).total_seconds()
    idle = 1.0 - trials / (_SLOTS * wall)
    return Row(
        name=f"P5 idle {method}",
        work=f"{trials} trials of a second on {_SLOTS} slots: the slots' idle share, {method}",
        goal=f"< {100 * _IDLE_GOAL:g} %",
        ours=100 * idle,
        unit="%",
        met=idle < _IDLE_GOAL,
        note=f"{wall:.1f} s from the first start to the last end; {trials / _SLOTS:g} s of work",
    )


if __name__ == "__main__":
    run(measure, __doc__)

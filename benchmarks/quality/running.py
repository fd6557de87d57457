"""Runs searches in a few processes and appends what they found to a file: killed, it goes on there."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from sklearn import config_context
from threadpoolctl import threadpool_limits

from benchmarks.quality.methods import METHODS, Search
from benchmarks.quality.problems import PROBLEMS
from services.core.trial import best_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one search found; `test_score` is that of its best point on the rows kept back."""

    problem: str
    method: str
    seed: int
    fits: int
    cv_score: float
    test_score: float
    seconds: float


def search(problem_name: str, method: str, seed: int) -> Outcome:
    """Runs one search of 60 fits."""
    problem = next(each for each in PROBLEMS if each.name == problem_name)
    began = time.monotonic()
    done = Search(problem)
    # The same data and allowed parameters in every fit: checking them would take a quarter of the time.
    checked = config_context(assume_finite=True, skip_parameter_validation=True)
    with checked, threadpool_limits(1), warnings.catch_warnings():
        # Peers warn of points they propose twice, and of fits that did not converge.
        warnings.simplefilter("ignore")
        METHODS[method](done, seed)
    best = best_of(done.trials)
    if best is None or best.score is None:
        raise RuntimeError(f"{method} scored nothing on {problem_name}")
    return Outcome(
        problem=problem_name,
        method=method,
        seed=seed,
        fits=len(done.trials),
        cv_score=best.score,
        test_score=problem.test_score(best.parameters),
        seconds=round(time.monotonic() - began, 3),
    )


def outcomes(path: Path) -> list[Outcome]:
    """Reads what was found so far; a last line that was cut off is left out."""
    if not path.exists():
        return []
    return [*_read(path.read_text("utf-8").splitlines())]


def _read(lines: Iterable[str]) -> Iterator[Outcome]:
    for line in lines:
        try:
            fields = json.loads(line)
        except json.JSONDecodeError:
            continue
        yield Outcome(**fields)


def run(path: Path, *, seeds: int, jobs: int, problems: str, methods: str) -> None:
    """Runs what is missing, seed by seed, so that an early end leaves whole seeds behind.

    Args:
        problems: runs those whose half or name holds this text; empty for all.
        methods: runs those whose name holds this text; empty for all.
    """
    done = {(each.problem, each.method, each.seed) for each in outcomes(path)}
    missing = [
        (problem.name, method, seed)
        for seed in range(seeds)
        for problem in PROBLEMS
        for method in METHODS
        if (problem.name, method, seed) not in done
        and (problems in problem.half or problems in problem.name)
        and methods in method
    ]
    with ProcessPoolExecutor(jobs) as pool, path.open("a", encoding="utf-8") as file:
        for finished in as_completed([pool.submit(search, *each) for each in missing]):
            outcome = finished.result()
            file.write(json.dumps(asdict(outcome)) + "\n")
            file.flush()
            print(
                f"{outcome.problem}, {outcome.method}, seed {outcome.seed}:"
                f" {outcome.cv_score:.5f} in {outcome.seconds:.1f} s",
                flush=True,
            )

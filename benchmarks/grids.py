"""The same grid through `GridSearchCV` and through the services, both timed from the call to the last score."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sklearn import datasets
from sklearn.model_selection import GridSearchCV

from benchmarks.stack import Stack
from crescendo.client.model import Pruning
from crescendo.client.model.states import ENDED

SLOTS = 2
FOLDS = 5
SEED = 42
_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A grid search over one of scikit-learn's own datasets.

    Attributes:
        dataset: its name behind `load_`.
        model_type: ours; `estimator` is the peer's of the same kind, unfitted.
    """

    dataset: str
    model_type: str
    estimator: Any
    grid: Mapping[str, list[Any]]

    @property
    def size(self) -> int:
        """How many candidates the grid has."""
        size = 1
        for values in self.grid.values():
            size *= len(values)
        return size


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What one run came to.

    Attributes:
        seconds: from the call to the end.
        work_seconds: what all fits and scores took together, those of stopped candidates too.
        candidate_index: the winner's place in scikit-learn's ParameterGrid.
        fits: how many folds were fitted.
    """

    seconds: float
    work_seconds: float
    candidate_index: int | None
    fits: int

    @property
    def ideal_share(self) -> float:
        """Which part of the slots' time went into fits and scores."""
        return self.work_seconds / SLOTS / self.seconds


def by_grid_search_cv(problem: Problem, *, jobs: int) -> Ran:
    """Runs the peer."""
    features, target = getattr(datasets, f"load_{problem.dataset}")(return_X_y=True)
    search = GridSearchCV(problem.estimator, dict(problem.grid), cv=FOLDS, n_jobs=jobs, refit=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        begun = time.perf_counter()
        search.fit(features, target)
        seconds = time.perf_counter() - begun
    results = search.cv_results_
    work = (results["mean_fit_time"] + results["mean_score_time"]).sum() * FOLDS
    return Ran(
        seconds=seconds,
        work_seconds=float(work),
        candidate_index=int(search.best_index_),
        fits=problem.size * FOLDS,
    )


class Ours:
    """Runs problems on a stack; each is given its own model run once."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._model_runs: dict[tuple[str, str], str] = {}

    def run(self, problem: Problem, pruning: Pruning | None = None) -> Ran:
        """Searches the whole grid.

        Raises: RuntimeError: it did not complete, or a trial failed.
        """
        client = self._stack.client
        model_run_id = self._model_run(problem)
        begun = time.perf_counter()
        started = client.tune(
            model_run_id,
            dict(problem.grid),
            method="grid_search",
            cv_folds=FOLDS,
            random_state=SEED,
            pruning=pruning,
        )
        self._wait(started.orchestration_id)
        seconds = time.perf_counter() - begun
        trials = list(client.trials(started.orchestration_id))
        if len(trials) != problem.size or any(each.failure for each in trials):
            raise RuntimeError(f"{len(trials)} trials of {problem.size}, or some failed")
        return Ran(
            seconds=seconds,
            work_seconds=sum(each.fit_seconds + each.score_seconds for each in trials),
            candidate_index=client.best(started.orchestration_id).trial.candidate_index,
            fits=sum(len(each.splits) for each in trials),
        )

    def _model_run(self, problem: Problem) -> str:
        key = (problem.dataset, problem.model_type)
        if key not in self._model_runs:
            made = self._stack.client.create_model_run(
                f"sklearn:{problem.dataset}", problem.model_type
            )
            self._model_runs[key] = made.model_run_id
        return self._model_runs[key]

    def _wait(self, orchestration_id: str) -> None:
        # By looking, not by watching: decoding every event takes processor time the services miss.
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (found := self._stack.client.status(orchestration_id)).state not in ENDED:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{orchestration_id} still {found.state}: {found.counts}")
            time.sleep(_LOOK_SECONDS)
        if found.state != "completed":
            raise RuntimeError(f"{orchestration_id} ended {found.state}: {found.counts}")


def repeated(run: Callable[[], Ran], into: list[Ran]) -> Callable[[], float]:
    """Makes a contender of a run: its figure is its seconds; the rest is kept."""

    def measure() -> float:
        ran = run()
        into.append(ran)
        return ran.seconds

    return measure

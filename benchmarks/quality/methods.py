"""The methods compared: ours through their searchers and the plan's refinement, and the peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import optuna
import skopt
from skopt.space import Categorical, Integer, Real

from benchmarks.quality.problems import Problem
from services.coordinator.adapters.searchers.registry import make_searcher
from services.coordinator.ports import SearchTask
from services.core.hull import hull_space
from services.core.plan import BAYESIAN, GRID_SEARCH, RANDOM_SEARCH, TPE
from services.core.refinement import refine
from services.core.space import (
    Assignment,
    Choices,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
)
from services.core.trial import Trial, TrialState

FITS: Final = 60
_RANDOM_FITS = 12
_REFINEMENT_FACTOR = 0.3


@dataclass(slots=True)
class Search:
    """The trials of one search, in order; every point is really fitted and scored."""

    problem: Problem
    trials: list[Trial] = field(default_factory=list)

    def run(self, point: Assignment, *, stage: int = 0, candidate: int | None = None) -> float:
        """Scores a point and remembers it."""
        score = self.problem.cv_score(point)
        number = len(self.trials)
        self.trials.append(
            Trial(
                orchestration_id="",
                number=number,
                tuning_run_id=str(stage),
                stage_index=stage,
                state=TrialState.SUCCEEDED,
                attempt=0,
                parameters=point,
                candidate_index=candidate,
                phase="",
                suggestion_index=number,
                suggested_at_sequence=0,
                score=score,
            )
        )
        return score


def _ours(method: str) -> Callable[[Search, int], None]:
    def run(search: Search, seed: int) -> None:
        space = hull_space(search.problem.space)
        _stage(search, _task(method, space, space, seed, 0), FITS)

    return run


def _progressive(search: Search, seed: int) -> None:
    """Grid (at most 16), random (12), the rest bayesian, the space refined between them."""
    original = search.problem.space
    _stage(search, _task(GRID_SEARCH, original, original, seed, 0), FITS)
    before, space = GRID_SEARCH, original
    bounds = hull_space(original)
    for stage, (method, fits) in enumerate([(RANDOM_SEARCH, _RANDOM_FITS), (BAYESIAN, FITS)], 1):
        space = refine(
            bounds, space, search.trials, _REFINEMENT_FACTOR, source_method=before
        ).space_after
        _stage(search, _task(method, space, bounds, seed, stage), fits)
        before = method


def _task(
    method: str, space: SearchSpace, original: SearchSpace, seed: int, stage: int
) -> SearchTask:
    return SearchTask(
        tuning_run_id="",
        method=method,
        space=space,
        original_space=original,
        seed=seed,
        stage_index=stage,
        refined=space != original,
    )


def _stage(search: Search, task: SearchTask, fits: int) -> None:
    searcher = make_searcher(task)
    index = 0
    while index < fits and len(search.trials) < FITS:
        asked = searcher.ask(count=1, first_index=index, known=search.trials)
        if not asked:
            return
        search.run(asked[0].parameters, stage=task.stage_index, candidate=asked[0].candidate_index)
        index += 1


def _optuna(search: Search, seed: int) -> None:
    """Optuna's TPE as it comes."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = hull_space(search.problem.space)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(
        lambda trial: search.run({each.name: _suggested(trial, each) for each in space.parameters}),
        n_trials=FITS,
    )


def _suggested(trial: optuna.Trial, parameter: Parameter) -> Any:
    match parameter.domain:
        case FloatRange(low=low, high=high, log=log):
            return trial.suggest_float(parameter.name, low, high, log=log)
        case IntRange(low=low, high=high, log=log):
            return trial.suggest_int(parameter.name, low, high, log=log)
        case Choices(values=values) | Grid(values=values):
            return trial.suggest_categorical(parameter.name, list(values))  # type: ignore[arg-type]  # no tuples
        case Fixed(value=value):
            return value


def _skopt(search: Search, seed: int) -> None:
    """scikit-optimize's Gaussian process with expected improvement, its own start of ten points."""
    space = hull_space(search.problem.space)
    optimizer = skopt.Optimizer(
        [_dimension(each) for each in space.parameters],
        base_estimator="GP",
        acq_func="EI",
        random_state=seed,
    )
    for _ in range(FITS):
        asked = optimizer.ask()
        point = {
            each.name: value.item() if hasattr(value, "item") else value
            for each, value in zip(space.parameters, asked, strict=True)
        }
        optimizer.tell(asked, -search.run(point))


def _dimension(parameter: Parameter) -> Any:
    match parameter.domain:
        case FloatRange(low=low, high=high, log=log):
            return Real(low, high, prior="log-uniform" if log else "uniform")
        case IntRange(low=low, high=high, log=log):
            return Integer(low, high, prior="log-uniform" if log else "uniform")
        case Choices(values=values) | Grid(values=values):
            return Categorical([str(each) for each in values])
        case Fixed(value=value):
            return Categorical([value])


METHODS: Final[Mapping[str, Callable[[Search, int], None]]] = {
    "progressive": _progressive,
    "bayesian": _ours(BAYESIAN),
    "tpe": _ours(TPE),
    "random": _ours(RANDOM_SEARCH),
    "Optuna TPE": _optuna,
    "scikit-optimize GP": _skopt,
}
"""By name: what runs 60 fits of a problem with a seed."""

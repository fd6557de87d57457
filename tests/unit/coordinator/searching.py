"""Spaces, trials and loops for tests of searchers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from services.coordinator.adapters.searchers.registry import make_searcher
from services.coordinator.ports import SearchTask
from services.core.hull import hull_space
from services.core.plan import DEFAULT_EXPLORE
from services.core.searcher import Suggestion
from services.core.space import (
    Assignment,
    Choices,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
)
from services.core.start_points import StartPoints
from services.core.trial import Trial, TrialState

SMALL_GRID = SearchSpace.of(
    [
        Parameter(name="max_depth", domain=Grid(values=(5, 10, None))),
        Parameter(name="C", domain=Grid(values=(0.1, 1.0, 10.0))),
        Parameter(name="kernel", domain=Grid(values=("rbf", "linear"))),
    ]
)
MIXED = SearchSpace.of(
    [
        Parameter(name="C", domain=FloatRange(low=0.01, high=100.0, log=True)),
        Parameter(name="max_depth", domain=IntRange(low=2, high=40), specials=(None,)),
        Parameter(name="kernel", domain=Choices(values=("rbf", "linear", "poly"))),
    ]
)
NARROWED = SearchSpace.of(
    [
        Parameter(name="C", domain=FloatRange(low=1.0, high=10.0, log=True)),
        Parameter(name="max_depth", domain=IntRange(low=8, high=14)),
        Parameter(name="kernel", domain=Choices(values=("rbf", "linear"))),
    ]
)

UNIT_SQUARE = SearchSpace.of(
    Parameter(name=name, domain=FloatRange(low=0.0, high=1.0)) for name in ("x", "y")
)
START = StartPoints(
    baseline={"C": 1.0, "kernel": "rbf", "max_depth": 12},
    points_to_try=({"C": 2.0, "kernel": "poly", "max_depth": None},),
)


def task(
    method: str,
    space: SearchSpace,
    *,
    original: SearchSpace | None = None,
    seed: int = 42,
    stage_index: int = 0,
    explore: float = DEFAULT_EXPLORE,
) -> SearchTask:
    """A task on a space, refined when another one is its original."""
    return SearchTask(
        tuning_run_id="r",
        method=method,
        space=space,
        original_space=original or space,
        seed=seed,
        stage_index=stage_index,
        explore=explore,
        refined=original is not None,
    )


def trial(
    number: int,
    parameters: Assignment,
    score: float | None = None,
    *,
    state: TrialState | None = None,
) -> Trial:
    """A trial: QUEUED without a score, unless another state is given."""
    if state is None:
        state = TrialState.QUEUED if score is None else TrialState.SUCCEEDED
    return Trial(
        orchestration_id="o",
        number=number,
        tuning_run_id="r",
        stage_index=0,
        state=state,
        attempt=0,
        parameters=parameters,
        candidate_index=None,
        phase="",
        suggestion_index=number,
        suggested_at_sequence=0,
        score=score,
    )


def search(
    subject: SearchTask,
    objective: Callable[[Assignment], float | None],
    *,
    trials: int,
    together: int = 1,
    before: Sequence[Trial] = (),
) -> list[tuple[Suggestion, Trial]]:
    """Runs a search of its own with a new searcher for every call; a score of None is a failure."""
    done: list[tuple[Suggestion, Trial]] = []
    known = list(before)
    while len(done) < trials:
        count = min(together, trials - len(done))
        asked = make_searcher(subject).ask(count=count, first_index=len(done), known=known)
        for each in asked:
            score = objective(each.parameters)
            state = TrialState.FAILED if score is None else TrialState.SUCCEEDED
            ended = replace(
                trial(len(known), each.parameters, score, state=state),
                stage_index=subject.stage_index,
            )
            known.append(ended)
            done.append((each, ended))
        if len(asked) < count:
            break
    return done


def smooth(point: Assignment) -> float:
    """Best at C = 3, max_depth = 12, rbf."""
    cost, depth = point["C"], point["max_depth"]
    miss = abs(float(cost) - 3.0) / 100 if isinstance(cost, float) else 1.0
    miss += abs(depth - 12) / 50 if isinstance(depth, int) else 0.5
    return 1.0 - miss - (point["kernel"] != "rbf") * 0.1


def inside(space: SearchSpace) -> SearchSpace:
    """The space whose points a model-based method may suggest."""
    return hull_space(space)

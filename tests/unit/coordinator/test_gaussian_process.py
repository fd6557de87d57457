"""The Gaussian process engine against random search, on functions whose best value is known."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import mean

import numpy as np
import pytest

from services.core.space import Assignment, FloatRange, Parameter, SearchSpace
from tests.unit.coordinator.searching import search, task

_A = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def branin(point: Assignment) -> float:
    """Highest value -0.398."""
    a, b = _numbers(point)
    curve = b - 5.1 / (4 * np.pi**2) * a**2 + 5 / np.pi * a - 6
    return float(-(curve**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(a) + 10))


def hartmann6(point: Assignment) -> float:
    """Highest value 3.322 (Hartmann, six dimensions)."""
    x = _numbers(point)
    return float(np.array([1, 1.2, 3, 3.2]) @ np.exp(-(_A * (x - _P) ** 2).sum(axis=1)))


def _numbers(point: Assignment) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([point[name] for name in sorted(point)], dtype=float)


def _space(*bounds: tuple[float, float]) -> SearchSpace:
    return SearchSpace.of(
        Parameter(name=f"x{place}", domain=FloatRange(low=low, high=high))
        for place, (low, high) in enumerate(bounds)
    )


BRANIN = _space((-5.0, 10.0), (0.0, 15.0))
HARTMANN = _space(*[(0.0, 1.0)] * 6)


def _best(
    method: str, space: SearchSpace, function: Callable[[Assignment], float], *, together: int = 1
) -> float:
    """The mean over two seeds of the best of 25 trials."""
    return mean(
        max(
            function(each.parameters)
            for each, _ in search(
                task(method, space, seed=seed), function, trials=25, together=together
            )
        )
        for seed in range(2)
    )


@pytest.mark.parametrize(
    ("space", "function", "enough"),
    [
        pytest.param(BRANIN, branin, -0.8, id="branin"),
        pytest.param(HARTMANN, hartmann6, 2.3, id="h6"),
    ],
)
def test_the_model_beats_random_search_and_comes_near_the_best(
    space: SearchSpace, function: Callable[[Assignment], float], enough: float
) -> None:
    modelled = _best("bayesian", space, function)
    assert modelled > _best("random_search", space, function)
    assert modelled > enough


def test_four_points_at_a_time_still_beat_random_search() -> None:
    modelled = _best("bayesian", BRANIN, branin, together=4)
    assert modelled > _best("random_search", BRANIN, branin)


def test_a_long_history_does_not_make_suggestions_slow() -> None:
    before = [
        ended
        for _, ended in search(
            task("random_search", HARTMANN), hartmann6, trials=1_500, together=500
        )
    ]
    # Of the processor: how long others keep it is not the searcher's doing.
    started = time.process_time()
    search(task("bayesian", HARTMANN), hartmann6, trials=1, before=before)
    # Far above what it takes (see the searcher's cap), far below what 1,500 points would.
    assert time.process_time() - started < 5.0


def test_scores_that_are_all_equal_can_be_modelled() -> None:
    whole = search(task("bayesian", BRANIN), lambda _: 0.5, trials=9)
    assert len(whole) == 9


def test_one_diverged_fit_does_not_blind_the_model() -> None:
    def with_cliff(point: Assignment) -> float:
        value = branin(point)
        return value if value > -150 else -1e12

    assert _best("bayesian", BRANIN, with_cliff) > -1.5

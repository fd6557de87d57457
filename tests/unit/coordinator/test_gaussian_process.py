"""The Gaussian process engine against random search, on functions whose best value is known."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import mean

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from services.coordinator.adapters.searchers.gaussian_process import (
    GaussianProcess,
    log_improvement,
)
from services.coordinator.adapters.searchers.matern import (
    negative_log_likelihood,
    squared_distances,
)
from services.coordinator.adapters.searchers.score_scale import scaled
from services.core.encoding import Block, FloatArray
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_one_diverged_fit_does_not_blind_the_model() -> None:
    def with_cliff(point: Assignment) -> float:
        value = branin(point)
        return value if value > -150 else -1e12

    assert _best("bayesian", BRANIN, with_cliff) > -1.5


# --- the model itself ---

_RNG = np.random.default_rng(3)
_POINTS = np.hstack([_RNG.random((12, 2)), np.eye(3)[_RNG.integers(3, size=12)]])
_BLOCKS = [Block(1, one_hot=False), Block(1, one_hot=False), Block(3, one_hot=True)]


def _posterior(points: FloatArray, values: FloatArray) -> GaussianProcess:
    return GaussianProcess(points, values, _BLOCKS)


def test_the_gradient_of_the_likelihood_is_its_slope() -> None:
    values = np.sin(5 * _POINTS[:, 0]) + _POINTS[:, 2]
    squares, _ = squared_distances(_POINTS, _BLOCKS)
    at = np.log([0.8, 0.3, 0.6, 0.9, 1e-2])

    def loss(logarithms: FloatArray) -> float:
        return negative_log_likelihood(logarithms, squares, values)[0]

    _, gradient = negative_log_likelihood(at, squares, values)
    assert gradient == pytest.approx(approx_fprime(at, loss, 1e-6), rel=1e-3, abs=1e-4)


def test_another_value_of_a_choice_is_as_far_as_the_other_end_of_a_range() -> None:
    ends = np.array([[0.0, 0.5, 1, 0, 0], [1.0, 0.5, 1, 0, 0], [0.0, 0.5, 0, 0, 1]])
    squares, _ = squared_distances(ends, _BLOCKS)
    assert squares[0, 0, 1] == pytest.approx(1.0)
    assert squares[2, 0, 2] == pytest.approx(1.0)
    assert squares[1].max() == 0.0


def test_improvement_is_expected_where_nothing_is_known_and_next_to_nothing_at_bad_points() -> None:
    scores = -((_POINTS[:, 0] - 0.3) ** 2)
    model = _posterior(_POINTS, scores)
    rows = np.vstack([_POINTS[np.argmin(scores)], _POINTS[np.argmax(scores)] + [0.01, 0, 0, 0, 0]])
    worst, beside_best = model.log_expected_improvement(rows)
    assert worst < beside_best


def test_improvements_too_small_for_a_float_still_differ() -> None:
    ahead = np.array([-1e6, -1e4, -100.0, -40.0, -2.0, -1.0, -0.999, 0.0, 3.0, 50.0])
    found = log_improvement(ahead)
    assert np.isfinite(found).all()
    assert (np.diff(found) > 0).all()
    # Of a standard normal: φ(0), and all of the mean when it is far ahead.
    assert found[7] == pytest.approx(np.log(1 / np.sqrt(2 * np.pi)))
    assert found[9] == pytest.approx(np.log(50.0))
    # On both sides of where one formula takes over from the other.
    assert found[5] == pytest.approx(np.log(0.0833154705876864))


def test_a_point_that_is_pending_is_not_the_most_promising_any_more() -> None:
    scores = -((_POINTS[:, 0] - 0.3) ** 2)
    model = _posterior(_POINTS, scores)
    rows = np.hstack([_RNG.random((200, 2)), np.eye(3)[_RNG.integers(3, size=200)]])
    promising = int(np.argmax(model.log_expected_improvement(rows)))
    model.pretend(rows[[promising]])
    assert int(np.argmax(model.log_expected_improvement(rows))) != promising


def test_scaled_scores_keep_their_order_and_equal_ones_stay_equal() -> None:
    values = scaled(np.array([0.97, 0.94, 0.97, 0.98, -1e12, 0.96]))
    assert values[0] == values[2]
    assert [*np.argsort(values[[4, 1, 5, 0, 3]])] == [0, 1, 2, 3, 4]


def test_good_scores_differ_however_bad_a_bad_one_is() -> None:
    good = np.linspace(0.95, 0.98, 9)
    spread = np.ptp(scaled(np.append(good, 0.9))[:9])
    assert np.ptp(scaled(np.append(good, -1e12))[:9]) > 0.1 * spread


def test_scores_above_the_middle_keep_their_distances() -> None:
    values = scaled(np.array([0.0, 1.0, 5.0, 6.0, 7.0, 8.0, 10.0]))
    steps = np.diff(values[3:])
    assert steps == pytest.approx(steps[0] * np.array([1.0, 1.0, 2.0]))


def test_a_single_score_and_equal_scores_are_scaled_to_nothing() -> None:
    assert scaled(np.array([0.5])) == pytest.approx([0.0])
    assert scaled(np.full(4, 0.7)) == pytest.approx(np.zeros(4))

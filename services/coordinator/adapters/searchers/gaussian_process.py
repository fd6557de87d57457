"""A Gaussian process over the unit cube, and the improvement it expects."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

FloatArray: TypeAlias = NDArray[np.float64]

# A likelihood costs the cube of its points: length scales are learnt from a part, the posterior is not.
_MOST_POINTS_TO_LEARN_FROM = 120
_MOST_ITERATIONS = 40
# Scores far below the middle (a diverged fit) would flatten everything that matters.
_WORST_DISTANCE = 3.0


class GaussianProcess:
    """Matérn 5/2 with a length scale per dimension and observation noise (Rasmussen & Williams 2006, ch. 5).

    Deterministic: the same points and values give the same model.

    Args:
        points: float64, shape (n, d), in [0, 1]; the most informative first.
        values: float64, shape (n,), finite; larger is better.
    """

    def __init__(self, points: FloatArray, values: FloatArray) -> None:
        scaled = self._scale(values)
        learn = slice(0, _MOST_POINTS_TO_LEARN_FROM)
        dims = points.shape[1]
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(
            length_scale=np.full(dims, 0.5), length_scale_bounds=(0.05, 10.0), nu=2.5
        ) + WhiteKernel(1e-3, (1e-7, 0.3))
        with warnings.catch_warnings():
            # A length scale at its bound means the dimension does not matter: nothing to warn of.
            warnings.simplefilter("ignore", ConvergenceWarning)
            learnt = GaussianProcessRegressor(kernel, alpha=1e-9, optimizer=_learn)
            learnt.fit(points[learn], scaled[learn])
        self._noise = float(learnt.kernel_.k2.noise_level)
        self._model = GaussianProcessRegressor(learnt.kernel_.k1, alpha=self._noise, optimizer=None)
        self._model.fit(points, scaled)
        # The best of noisy values promises too much; the model's own view of it does not.
        self.best = float(self._model.predict(points).max())

    def _scale(self, values: FloatArray) -> FloatArray:
        middle, top = float(np.median(values)), float(values.max())
        clipped = (
            np.maximum(values, middle - _WORST_DISTANCE * (top - middle))
            if top > middle
            else values
        )
        spread = float(clipped.std())
        return np.asarray((clipped - clipped.mean()) / (spread if spread > 0 else 1.0))

    def expected_improvement(self, points: FloatArray) -> FloatArray:
        """Expected improvement over the best (Jones et al. 1998, eq. 15), in scaled units.

        Args:
            points: shape (n, d).

        Returns: shape (n,), ≥ 0.
        """
        mean, deviation = self._model.predict(points, return_std=True)
        deviation = np.maximum(deviation, 1e-9)
        ahead = mean - self.best
        z = ahead / deviation
        return np.asarray(ahead * norm.cdf(z) + deviation * norm.pdf(z))


def _learn(
    objective: Callable[..., Any], start: FloatArray, bounds: FloatArray
) -> tuple[FloatArray, float]:
    found = minimize(
        objective,
        start,
        method="L-BFGS-B",
        jac=True,
        bounds=bounds,
        options={"maxiter": _MOST_ITERATIONS},
    )
    return np.asarray(found.x), float(found.fun)

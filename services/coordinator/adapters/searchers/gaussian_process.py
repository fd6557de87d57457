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
# What is expected of a hyperparameter before anything is known: its middle, and how many times as large or
# small (e to the spread) it may well be. With a handful of points the likelihood alone is often highest where
# all of them are noise, or where a dimension does not matter.
_LENGTH, _LENGTH_SPREAD = 0.4, 0.7
_VARIANCE, _VARIANCE_SPREAD = 1.0, 1.0
_NOISE, _NOISE_SPREAD = 1e-4, 2.0
# Scores far below the middle (a diverged fit) would flatten everything that matters.
_WORST_DISTANCE = 3.0


class GaussianProcess:
    """Matérn 5/2 with a length scale per dimension and noise (Rasmussen & Williams 2006, ch. 4 and 5).

    Variance, length scales and noise are the most probable ones under the likelihood of the values and
    log-normal priors (section 5.2). Deterministic: the same points and values give the same model.

    Args:
        points: float64, shape (n, d), in [0, 1]; the most informative first.
        values: float64, shape (n,), finite; larger is better.
    """

    def __init__(self, points: FloatArray, values: FloatArray) -> None:
        self._points = points
        self._values = _scaled(values)
        learn = slice(0, _MOST_POINTS_TO_LEARN_FROM)
        kernel = ConstantKernel(_VARIANCE, (1e-2, 1e2)) * Matern(
            length_scale=np.full(points.shape[1], _LENGTH),
            length_scale_bounds=(0.05, 10.0),
            nu=2.5,
        ) + WhiteKernel(_NOISE, (1e-7, 0.3))
        learnt = GaussianProcessRegressor(kernel, alpha=1e-9, optimizer=_most_probable)
        with warnings.catch_warnings():
            # A length scale at its bound means the dimension does not matter: nothing to warn of.
            warnings.simplefilter("ignore", ConvergenceWarning)
            learnt.fit(points[learn], self._values[learn])
        self._kernel = learnt.kernel_.k1
        self._noise = float(learnt.kernel_.k2.noise_level)
        self._posterior = self._fit(points, self._values)
        # The best of noisy values promises too much; the model's own view of it does not.
        self._best = float(self._posterior.predict(points).max())

    def pretend(self, pending: FloatArray) -> None:
        """Takes points whose values are not known yet as if each had come out best.

        The constant liar (Ginsbourger et al. 2010, "CL-max"): without it, points asked for together
        would all be the same one. Of its variants this one spreads points the most; on Branin and
        Hartmann-6 with four points at a time it did better than the mean, the minimum, and believing
        the model.

        Args:
            pending: shape (m, d).
        """
        if len(pending):
            lies = np.full(len(pending), float(self._values.max()))
            self._posterior = self._fit(
                np.vstack([self._points, pending]), np.concatenate([self._values, lies])
            )

    def expected_improvement(self, points: FloatArray) -> FloatArray:
        """Expected improvement over the best (Jones et al. 1998, eq. 15), in scaled units.

        Args:
            points: shape (n, d).

        Returns: shape (n,), ≥ 0.
        """
        mean, deviation = self._posterior.predict(points, return_std=True)
        deviation = np.maximum(deviation, 1e-9)
        ahead = mean - self._best
        z = ahead / deviation
        return np.asarray(np.maximum(ahead * norm.cdf(z) + deviation * norm.pdf(z), 0.0))

    def _fit(self, points: FloatArray, values: FloatArray) -> GaussianProcessRegressor:
        model = GaussianProcessRegressor(self._kernel, alpha=self._noise, optimizer=None)
        return model.fit(points, values)


def _scaled(values: FloatArray) -> FloatArray:
    middle, top = float(np.median(values)), float(values.max())
    if top > middle:
        values = np.maximum(values, middle - _WORST_DISTANCE * (top - middle))
    spread = float(values.std())
    return np.asarray((values - values.mean()) / (spread if spread > 0 else 1.0))


def _most_probable(
    objective: Callable[..., Any], start: FloatArray, bounds: FloatArray
) -> tuple[FloatArray, float]:
    """Minimises the negative logarithm of likelihood times priors; parameters are logarithms.

    Args:
        objective: gives the negative log likelihood and its gradient.
        start: the priors' middles; shape (d + 2,): variance, length scales, noise, in the kernel's order.
        bounds: shape (d + 2, 2).
    """
    spreads = np.array([_VARIANCE_SPREAD, *[_LENGTH_SPREAD] * (len(start) - 2), _NOISE_SPREAD])

    def posterior(parameters: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = objective(parameters)
        away = (parameters - start) / spreads
        return float(value + 0.5 * away @ away), np.asarray(gradient + away / spreads)

    found = minimize(
        posterior,
        start,
        method="L-BFGS-B",
        jac=True,
        bounds=bounds,
        options={"maxiter": _MOST_ITERATIONS},
    )
    return np.asarray(found.x), float(found.fun)

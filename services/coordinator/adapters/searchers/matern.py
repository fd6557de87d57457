"""The Matérn kernel with a length per block of dimensions, and its most probable hyperparameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import minimize

from services.core.encoding import Block, FloatArray

# What is expected of a hyperparameter before anything is known: its middle, and how many times as large or
# small (e to the spread) it may well be. With a handful of points the likelihood alone is often highest where
# all of them are noise, or where a dimension does not matter.
_VARIANCE, _VARIANCE_SPREAD = 1.0, 1.0
_LENGTH, _LENGTH_SPREAD = 0.4, 0.7
_NOISE, _NOISE_SPREAD = 1e-4, 2.0
_VARIANCE_BOUNDS = (1e-2, 1e2)
_LENGTH_BOUNDS = (0.05, 20.0)
_NOISE_BOUNDS = (1e-7, 1.0)
_MOST_ITERATIONS = 40
# Keeps a matrix of points that nearly coincide positive definite.
_JITTER = 1e-8
_IMPOSSIBLE = 1e10


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """Matérn 5/2 (Rasmussen & Williams 2006, eq. 4.17) on scaled dimensions, and noise.

    Attributes:
        variance: of the function; above 0.
        scales: shape (d,); what each dimension is multiplied by.
        noise: variance of a value around the function; above 0.
    """

    variance: float
    scales: FloatArray
    noise: float

    def between(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """Covariances of the function, shape (n, m), at rows of shapes (n, d) and (m, d)."""
        left, right = left * self.scales, right * self.scales
        squares = (left**2).sum(1)[:, None] + (right**2).sum(1) - 2 * left @ right.T
        return self.variance * _correlation(np.maximum(squares, 0.0))[0]

    def factor(self, points: FloatArray) -> FloatArray:
        """The lower Cholesky factor of the covariances of values at points, shape (n, n)."""
        covariances = self.between(points, points)
        covariances[np.diag_indices(len(points))] += self.noise + _JITTER
        return np.asarray(cholesky(covariances, lower=True, check_finite=False))


def most_probable_kernel(points: FloatArray, values: FloatArray, blocks: Sequence[Block]) -> Kernel:
    """Finds the kernel with the highest likelihood times log-normal priors (ibid., section 5.2).

    Two different values of a choice are as far apart as the ends of a range. Deterministic.

    Args:
        points: float64, shape (n, d), in [0, 1].
        values: float64, shape (n,), about standard normal.
        blocks: those of the d dimensions; each has a length scale of its own.
    """
    squares, weights = squared_distances(points, blocks)
    middle = np.log([_VARIANCE, *[_LENGTH] * len(blocks), _NOISE])
    spreads = np.array([_VARIANCE_SPREAD, *[_LENGTH_SPREAD] * len(blocks), _NOISE_SPREAD])
    bounds = [_VARIANCE_BOUNDS, *[_LENGTH_BOUNDS] * len(blocks), _NOISE_BOUNDS]

    def loss(logarithms: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = negative_log_likelihood(logarithms, squares, values)
        away = (logarithms - middle) / spreads
        return value + 0.5 * float(away @ away), gradient + away / spreads

    found = minimize(
        loss,
        middle,
        method="L-BFGS-B",
        jac=True,
        bounds=np.log(bounds),
        options={"maxiter": _MOST_ITERATIONS},
    )
    hyperparameters = np.exp(found.x)
    lengths = np.repeat(hyperparameters[1:-1], [each.width for each in blocks])
    return Kernel(
        variance=float(hyperparameters[0]),
        scales=weights / lengths,
        noise=float(hyperparameters[-1]),
    )


def squared_distances(points: FloatArray, blocks: Sequence[Block]) -> tuple[FloatArray, FloatArray]:
    """Squared distances by block, shape (blocks, n, n), and the weights of dimensions in them."""
    # Of indicators two differ where one value becomes another.
    weights = np.concatenate(
        [np.full(each.width, np.sqrt(0.5) if each.one_hot else 1.0) for each in blocks]
    )
    weighted = points * weights
    squares = np.empty((len(blocks), len(points), len(points)))
    start = 0
    for place, each in enumerate(blocks):
        part = weighted[:, start : start + each.width]
        squares[place] = ((part[:, None, :] - part[None, :, :]) ** 2).sum(axis=2)
        start += each.width
    return squares, weights


def negative_log_likelihood(
    logarithms: FloatArray, squares: FloatArray, values: FloatArray
) -> tuple[float, FloatArray]:
    """Of the values, without its constant, and its gradient (ibid., eq. 5.8 and 5.9)."""
    variance, noise = np.exp(logarithms[0]), np.exp(logarithms[-1])
    closeness = np.exp(-2 * logarithms[1:-1])
    correlation, slope = _correlation(np.tensordot(closeness, squares, 1))
    covariances = variance * correlation
    covariances[np.diag_indices(len(values))] += noise + _JITTER
    try:
        factor = cholesky(covariances, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return _IMPOSSIBLE, np.zeros_like(logarithms)
    weights = cho_solve((factor, True), values, check_finite=False)
    inverse = cho_solve((factor, True), np.eye(len(values)), check_finite=False)
    pull = inverse - np.outer(weights, weights)
    gradient = np.empty_like(logarithms)
    gradient[0] = 0.5 * variance * (pull * correlation).sum()
    gradient[1:-1] = 0.5 * variance * closeness * np.tensordot(squares, pull * slope, 2)
    gradient[-1] = 0.5 * noise * np.trace(pull)
    value = 0.5 * float(values @ weights) + float(np.log(np.diag(factor)).sum())
    return value, gradient


def _correlation(squares: FloatArray) -> tuple[FloatArray, FloatArray]:
    """By squared distance, and its derivative by minus half of it, so that none divides by 0."""
    distances = np.sqrt(5.0 * squares)
    fading = np.exp(-distances)
    return (
        (1.0 + distances + 5.0 / 3.0 * squares) * fading,
        5.0 / 3.0 * (1.0 + distances) * fading,
    )

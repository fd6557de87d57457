"""A Gaussian process over the unit cube, and the improvement it expects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_solve, solve_triangular
from scipy.special import erfcx, ndtr

from services.coordinator.adapters.searchers.matern import most_probable_kernel
from services.coordinator.adapters.searchers.score_scale import scaled
from services.core.encoding import Block, FloatArray

# A likelihood costs the cube of its points: the kernel is learnt from a part, the posterior is not.
_MOST_POINTS_TO_LEARN_FROM = 120
_LEAST_VARIANCE = 1e-12
# Below this many deviations improvements cancel to nothing in the usual formula.
_FAR_BELOW = -1.0
# And beyond these the logarithm of the improvement is its leading term.
_VERY_FAR_BELOW = -1e4


class GaussianProcess:
    """The posterior of scores (Rasmussen & Williams 2006, algorithm 2.1) under their most probable kernel.

    Deterministic: the same points and scores give the same model.

    Args:
        points: float64, shape (n, d), in [0, 1]; the most informative first.
        scores: float64, shape (n,), finite; larger is better.
        blocks: those of the d dimensions.
    """

    def __init__(self, points: FloatArray, scores: FloatArray, blocks: Sequence[Block]) -> None:
        self._points = points
        self._values = scaled(scores)
        learn = slice(0, _MOST_POINTS_TO_LEARN_FROM)
        self._kernel = most_probable_kernel(points[learn], self._values[learn], blocks)
        self._condition(points, self._values)
        # The best of noisy values promises too much; the model's own view of it does not.
        self._best = float(self._predicted(points)[0].max())

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
            self._condition(
                np.vstack([self._points, pending]), np.concatenate([self._values, lies])
            )

    def log_expected_improvement(self, points: FloatArray) -> FloatArray:
        """Logarithm of the expected improvement over the best (Jones et al. 1998, eq. 15).

        A logarithm, since far from the best improvements are too small for a float while one is still
        a thousand times another (Ament et al. 2023, section 4.1).

        Args:
            points: shape (n, d).

        Returns: shape (n,), finite; of improvements in scaled units.
        """
        mean, deviation = self._predicted(points)
        return np.asarray(np.log(deviation) + log_improvement((mean - self._best) / deviation))

    def _condition(self, points: FloatArray, values: FloatArray) -> None:
        self._conditioned = points
        self._factor = self._kernel.factor(points)
        self._weights = cho_solve((self._factor, True), values, check_finite=False)

    def _predicted(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        covariances = self._kernel.between(points, self._conditioned)
        explained = solve_triangular(self._factor, covariances.T, lower=True, check_finite=False)
        variance = self._kernel.variance - (explained**2).sum(axis=0)
        return covariances @ self._weights, np.sqrt(np.maximum(variance, _LEAST_VARIANCE))


def log_improvement(ahead: FloatArray) -> FloatArray:
    """log(φ(z) + z Φ(z)), by the deviations z a mean is ahead of the best."""
    near = np.maximum(ahead, _FAR_BELOW)
    usual = np.log(np.exp(-0.5 * near**2) / np.sqrt(2 * np.pi) + near * ndtr(near))
    behind = np.clip(-ahead, -_FAR_BELOW, -_VERY_FAR_BELOW)
    rest = 1.0 - np.sqrt(np.pi / 2) * behind * erfcx(behind / np.sqrt(2))
    leading = np.where(
        ahead > _VERY_FAR_BELOW,
        np.log(np.maximum(rest, 1e-300)),
        -2 * np.log(np.maximum(-ahead, 1.0)),
    )
    far = -0.5 * ahead**2 - 0.5 * np.log(2 * np.pi) + leading
    return np.asarray(np.where(ahead > _FAR_BELOW, usual, far))

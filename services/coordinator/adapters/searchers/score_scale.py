"""Scores as a model takes them."""

from __future__ import annotations

import numpy as np

from services.core.encoding import FloatArray

# Scores far below the middle (a diverged fit) would flatten everything that matters.
_WORST_DISTANCE = 3.0


def scaled(scores: FloatArray) -> FloatArray:
    """Standardises scores; the worst are raised.

    None counts as farther below the median than three times the best lies above it.

    Args:
        scores: float64, shape (n,), finite, n ≥ 1.

    Returns: float64, shape (n,), with mean 0 and, unless all are equal, standard deviation 1; none
    is above that of a better score.

    Raises: ValueError: a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    middle, top = float(np.median(scores)), float(scores.max())
    if top > middle:
        scores = np.maximum(scores, middle - _WORST_DISTANCE * (top - middle))
    spread = float(scores.std())
    return np.asarray((scores - scores.mean()) / (spread if spread > 0 else 1.0))

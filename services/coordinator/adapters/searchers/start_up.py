"""Where a model-based search begins: points far from one another, for a model needs some to rest on."""

from __future__ import annotations

import numpy as np

from services.core.digest import assignment_digest
from services.core.encoding import FloatArray
from services.core.modelling import ModelledSpace
from services.core.sampling import generator, sample, sample_without_repeat
from services.core.searcher import Suggestion
from services.core.space import SearchSpace

START_UP_TRIALS = 5
_DRAWS = 16


def start_up_point(
    box: SearchSpace,
    modelled: ModelledSpace,
    *,
    seed: int,
    index: int,
    others: FloatArray,
    taken: set[str],
) -> Suggestion | None:
    """Of some random points of a space, the one farthest from all that is known or pending.

    Args:
        box: the space of the point.
        modelled: encloses `box`; distances are those of its unit cube.
        others: float64, shape (n, modelled.n_dims); what is known or pending.
        taken: digests of the points tried or pending.

    Returns: None when every point of a finite space is taken.
    """
    first = sample_without_repeat(box, seed, index, taken)
    if first is None:
        return None
    rng = generator(seed, index, -1)
    drawn = [first, *(sample(box, rng) for _ in range(_DRAWS - 1))]
    points = [each for each in drawn if assignment_digest(each) not in taken]
    place = 0
    if len(others):
        rows = modelled.rows(points)
        distances = np.linalg.norm(rows[:, None, :] - others[None, :, :], axis=2).min(axis=1)
        place = int(np.argmax(distances))
    return Suggestion(parameters=points[place], candidate_index=None, phase="startup")

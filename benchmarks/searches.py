"""Searches whose trials compute nothing, and waiting for their end."""

from __future__ import annotations

import itertools
import math
import time

from benchmarks.stack import Stack
from crescendo.client.model.states import ENDED
from crescendo.client.spaces import loguniform, randint, uniform

# Four parameters: two of a linear scale, one of a logarithmic one, one whole number.
SPACE = {
    "min_weight_fraction_leaf": uniform(0.0, 0.5),
    "ccp_alpha": uniform(0.0, 0.1),
    "min_impurity_decrease": loguniform(1e-6, 1e-1),
    "n_estimators": randint(10, 500),
}
_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 3600.0


def grid_of(points: int) -> dict[str, list[float | int]]:
    """A grid over the same four parameters with at least `points` points, few more."""
    side = math.isqrt(math.isqrt(points))
    sides = [side] * 4
    for place in itertools.cycle(range(4)):
        if math.prod(sides) >= points:
            break
        sides[place] += 1
    a, b, c, d = sides
    return {
        "min_weight_fraction_leaf": [0.5 * each / a for each in range(a)],
        "ccp_alpha": [0.1 * each / b for each in range(b)],
        "min_impurity_decrease": [10.0 ** (-6 + 5 * each / c) for each in range(c)],
        "n_estimators": [10 + each for each in range(d)],
    }


def timed_model(stack: Stack) -> str:
    """Creates the model run whose parameters these are; nothing is ever fitted. Returns: its id."""
    return stack.client.create_model_run("sklearn:iris", "random_forest_classifier").model_run_id


def wait_completed(stack: Stack, orchestration_id: str) -> int:
    """Waits until a search has completed. Returns: its trials that succeeded.

    By looking, not by watching: a client that decodes every event takes processor time that the
    services, and no peer, would miss.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        found = stack.client.status(orchestration_id)
        if found.state in ENDED:
            break
        if time.monotonic() > deadline:
            raise TimeoutError(f"{orchestration_id} still {found.state}: {found.counts}")
        time.sleep(_LOOK_SECONDS)
    if found.state != "completed":
        raise RuntimeError(f"{orchestration_id} ended {found.state}: {found.counts}")
    return found.counts.succeeded

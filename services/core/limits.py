"""Limits on what a request may ask for."""

from __future__ import annotations

from typing import Final

MAX_GRID_POINTS: Final = 1_000_000
"""Points of a grid; the size is computed as a product, never by building the grid."""

MAX_GRID_PARAMETERS: Final = 100
"""Parameters named by one grid; no model type has as many."""

MAX_GRIDS: Final = 100
"""Grids of a list, or alternatives of a typed space."""

MAX_TRIALS_PER_RUN: Final = 100_000
"""Trials (`n_iter`) of a random or bayesian tuning run."""

MAX_MODEL_RUNS: Final = 100
"""Model runs of one comparison."""

MAX_RANDOM_STATE: Final = 2**32 - 1
"""Seeds run from 0 to this, as numpy's `RandomState` takes them."""

MAX_INT: Final = 2**31 - 1
"""Whole numbers a parameter may have; scikit-learn hands many of them to C ints."""

MAX_SECONDS: Final = 10 * 366 * 86_400.0
"""Ten years: what a database's clock and a worker's timer count without trouble."""

MAX_RESULT_BYTES: Final = 64 * 1024
"""Of what one trial brings: its scores per split and metric, and what each split took."""

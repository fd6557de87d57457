"""Boosting until a part of the rows set aside says that more rounds do no good."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.core.parameter_schema import Floats, Ints, ParameterSchema
from services.core.space import Value

ROUNDS: Final = "early_stopping_rounds"
FRACTION: Final = "early_stopping_fraction"
SET: Final = "early_stopping_set"

TRAINING_PART: Final = "training_part"
TEST_FOLD: Final = "test_fold"

DEFAULT_FRACTION: Final = 0.1
"""The share of a training part that is set aside, as scikit-learn's `validation_fraction`."""

PARAMETERS: Final[Mapping[str, ParameterSchema]] = {
    ROUNDS: ParameterSchema(ints=Ints(low=1), nullable=True),
    FRACTION: ParameterSchema(floats=Floats(low=0.0, high=0.5, low_open=True)),
    SET: ParameterSchema(strings=(TRAINING_PART, TEST_FOLD)),
}
"""What model types take that can stop early; none of it is their estimators' own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStopping:
    """When boosting stops before its last round.

    Attributes:
        rounds: rounds without an improvement of the library's own loss after which it stops, ≥ 1.
        fraction: share of the training part that is set aside to see it, in (0, 0.5].
        on_test_fold: looks at the test part instead, and trains on all of the training part. The score
            is then OPTIMISTIC: its rounds were chosen by the very rows it is measured on.
    """

    rounds: int
    fraction: float = DEFAULT_FRACTION
    on_test_fold: bool = False


def early_stopping(parameters: Mapping[str, Value]) -> EarlyStopping | None:
    """Reads how a candidate stops, of typed parameters; None when it makes all its rounds."""
    rounds = parameters.get(ROUNDS)
    if not isinstance(rounds, int):
        return None
    fraction = parameters.get(FRACTION, DEFAULT_FRACTION)
    return EarlyStopping(
        rounds=rounds,
        fraction=float(fraction) if isinstance(fraction, int | float) else DEFAULT_FRACTION,
        on_test_fold=parameters.get(SET) == TEST_FOLD,
    )


def early_stopping_problem(parameters: Mapping[str, Value]) -> str:
    """Says what a candidate's other parameters have against stopping early; empty for nothing."""
    if early_stopping(parameters) is None:
        return ""
    if "dart" in (parameters.get("booster"), parameters.get("boosting_type")):
        return (
            'cannot be set with "dart", which changes the rounds it has made, so that none is the'
            ' best to go back to; take "gbtree" or "gbdt", or leave early_stopping_rounds out'
        )
    return ""


def without_early_stopping(parameters: Mapping[str, Value]) -> dict[str, Value]:
    """Gives the parameters that are the estimator's own."""
    return {name: value for name, value in parameters.items() if name not in PARAMETERS}


def final_rounds(best_rounds: Sequence[int]) -> int:
    """Gives the rounds of a fit on all rows: the median over the splits, halves rounded up.

    Raises: ValueError: there are no splits.
    """
    if not best_rounds:
        raise ValueError("no split says how many rounds were best")
    return math.ceil(statistics.median(best_rounds))

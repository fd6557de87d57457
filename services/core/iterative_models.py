"""Model types that are fitted round by round, and how many rounds a search lets them make."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.core import early_stopping
from services.core.space import (
    Assignment,
    Choices,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    SearchSpace,
    Value,
)

DEFAULT_ROUNDS: Final = 100
"""What all of them make where nothing says how many: scikit-learn's, XGBoost's and LightGBM's default."""

_ENSEMBLES: Final = ("random_forest", "extra_trees", "gradient_boosting", "xgboost", "lightgbm")

ROUNDS_PARAMETERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{
            f"{family}_{kind}": "n_estimators"
            for family in _ENSEMBLES
            for kind in ("classifier", "regressor")
        },
        "hist_gradient_boosting_classifier": "max_iter",
        "hist_gradient_boosting_regressor": "max_iter",
    }
)
"""The parameter that counts the rounds, by model type.

Neural networks are not among them: going on by `warm_start` scikit-learn begins their optimiser anew, and by
`partial_fit` the order of their rows, so that one fit in parts is another than one in a piece.
"""

_BY_EPOCHS: Final = frozenset({"mlp_classifier", "mlp_regressor"})

# What lets histogram gradient boosting end a fit before its rounds are made.
_OWN: Final = "early_stopping"
_MOST_ROWS_WITHOUT_STOP: Final = 10_000


def rounds_of(model_type: str, parameters: Assignment) -> int:
    """Counts the rounds of one candidate.

    Raises: KeyError: the model type is not fitted round by round.
    """
    rounds = parameters.get(ROUNDS_PARAMETERS[model_type])
    return rounds if isinstance(rounds, int) and not isinstance(rounds, bool) else DEFAULT_ROUNDS


def most_rounds(model_type: str, fixed: Assignment, space: SearchSpace) -> int:
    """Counts the rounds of the candidate of a space that makes most.

    Raises: KeyError: the model type is not fitted round by round.
    """
    name = ROUNDS_PARAMETERS[model_type]
    found = [
        rounds_of(model_type, {name: value})
        for part in space.alternatives or (space,)
        for value in _reach(name, fixed, part)
    ]
    return max(found)


def rounds_problem(model_type: str, fixed: Assignment, space: SearchSpace, *, rows: int = 0) -> str:
    """Says why the candidates of a space cannot be stopped between rounds; empty where they can.

    Args:
        rows: of the dataset; 0 where that is not known.
    """
    if model_type in _BY_EPOCHS:
        return (
            f"{model_type} fitted on from epoch to epoch has other scores than fitted at once; use steps of"
            " training_size or fold"
        )
    if model_type not in ROUNDS_PARAMETERS:
        known = ", ".join(sorted(ROUNDS_PARAMETERS))
        return f"{model_type} is not fitted round by round; of the model types, {known} are"
    parts = space.alternatives or (space,)
    for name in _stops(model_type):
        for value in (each for part in parts for each in _reach(name, fixed, part)):
            if value not in (None, False, "auto"):
                return f"{name} ends fits of {model_type} by another rule; leave one of the two out"
    # Left to itself histogram gradient boosting stops by its own rule on so many rows.
    own = [value for part in parts for value in _reach(_OWN, fixed, part)]
    many = model_type.startswith("hist_") and rows > _MOST_ROWS_WITHOUT_STOP
    if many and any(value in (None, "auto") for value in own):
        return (
            f"{model_type} stops by its own rule on more than {_MOST_ROWS_WITHOUT_STOP:,} rows; fix"
            f" {_OWN} to false"
        )
    return ""


def _stops(model_type: str) -> tuple[str, ...]:
    """Names the parameters that end fits of a model type before their rounds are made."""
    if model_type.startswith("hist_"):
        return (_OWN,)
    if model_type.startswith("gradient_boosting_"):
        return ("n_iter_no_change",)
    return (early_stopping.ROUNDS,)


def _reach(name: str, fixed: Assignment, space: SearchSpace) -> tuple[Value, ...]:
    """Gives the values a parameter can have, of a range its upper end."""
    searched = next((each for each in space.parameters if each.name == name), None)
    if searched is None:
        return (fixed.get(name),)
    # Where it is not active, it has the value it has without the search.
    otherwise = (fixed.get(name),) if searched.conditions else ()
    match searched.domain:
        case IntRange() | FloatRange():
            return (searched.domain.high, *searched.specials, *otherwise)
        case Fixed():
            return (searched.domain.value, *searched.specials, *otherwise)
        case Choices() | Grid():
            return (*searched.domain.values, *searched.specials, *otherwise)

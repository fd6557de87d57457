"""Model types: which estimator a name stands for, which parameters it takes, what to try by default.

The table itself is in `model_catalog`. Estimators are named by path and never imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.core.objective import Task
from services.core.parameter_schema import ParameterSchema
from services.core.space import Grid, Parameter, SearchSpace, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelType:
    """One estimator that can be tuned.

    Attributes:
        estimator: import path as `module:Class`.
        parameters: schema by constructor parameter.
        default_grid: values by parameter, tried when a request brings no grid.
        blocked: constructor parameters clients may not set: they change no score, take callables or
            arrays, or belong to the worker.
        seeded: takes `random_state`.
        probabilities: has `predict_proba` whatever its parameters.
        takes_missing: accepts NaN in features.
    """

    name: str
    task: Task
    estimator: str
    parameters: Mapping[str, ParameterSchema]
    default_grid: Mapping[str, tuple[Value, ...]]
    blocked: tuple[str, ...]
    seeded: bool
    probabilities: bool
    takes_missing: bool

    @property
    def default_space(self) -> SearchSpace:
        """The default grid as a space."""
        return SearchSpace.of(
            Parameter(name=name, domain=Grid(values=values))
            for name, values in self.default_grid.items()
        )

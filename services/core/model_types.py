"""Model types: which estimator a name stands for, which parameters it takes, what to try by default.

The table itself is in `model_catalog`. Estimators are named by path and never imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

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
        takes_weights: its `fit` takes `sample_weight`.
        settings: constructor arguments every worker sets, so that one slot is one thread, the same
            trial has the same score, and nothing is printed.
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
    takes_weights: bool = True
    settings: Mapping[str, Value] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        name: str,
        estimator: str,
        *,
        task: Task,
        parameters: Mapping[str, ParameterSchema],
        default_grid: Mapping[str, tuple[Value, ...]],
        blocked: tuple[str, ...] = (),
        probabilities: bool = False,
        takes_missing: bool = False,
        takes_weights: bool = True,
        settings: Mapping[str, Value] | None = None,
    ) -> ModelType:
        """Makes a model type of a table's row, in any order of parameters."""
        return cls(
            name=name,
            task=task,
            estimator=estimator,
            parameters=MappingProxyType(dict(sorted(parameters.items()))),
            default_grid=MappingProxyType(dict(sorted(default_grid.items()))),
            blocked=blocked,
            seeded="random_state" in parameters,
            probabilities=probabilities,
            takes_missing=takes_missing,
            takes_weights=takes_weights,
            settings=MappingProxyType(dict(settings or {})),
        )

    @property
    def library(self) -> str:
        """The package the estimator is imported from, such as `sklearn`; a worker may lack others."""
        return self.estimator.partition(":")[0].partition(".")[0]

    @property
    def default_space(self) -> SearchSpace:
        """The default grid as a space."""
        return SearchSpace.of(
            Parameter(name=name, domain=Grid(values=values))
            for name, values in self.default_grid.items()
        )

"""From the core's tables of names to scikit-learn's classes and functions."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from services.core.model_catalog import MODEL_TYPES
from services.core.objective import ColumnKind, EvaluationSpec, Step, Task
from services.core.preprocessing_types import (
    SEEDED_FUNCTIONS,
    STEP_TYPES,
    step_arguments,
    step_columns,
)
from services.core.space import Value


class Catalogue:
    """Makes what a spec names; only what stands in the core's tables can be made."""

    def __init__(self, spec: EvaluationSpec) -> None:
        """Looks everything up.

        Raises: ValueError: the model type or a step's type is not known.
        """
        model = MODEL_TYPES.get(spec.model_type)
        if model is None:
            raise ValueError(f"model type {spec.model_type!r} is not known to this worker")
        unknown = [step.type for step in spec.steps if step.type not in STEP_TYPES]
        if unknown:
            raise ValueError(f"preprocessing types not known to this worker: {', '.join(unknown)}")
        self._estimator = model.estimator
        self._task: Task = model.task
        self._seed = spec.random_state

    def model(self) -> Any:
        """Makes the estimator, with nothing set."""
        return _load(self._estimator)()

    def transformer(self, step: Step) -> Any:
        """Makes a step's transformer with its fixed parameters."""
        return _load(STEP_TYPES[step.type].transformer)().set_params(**self.arguments(step, {}))

    def arguments(self, step: Step, searched: Mapping[str, Value]) -> dict[str, Any]:
        """Gives a step's constructor arguments when a trial sets some of its parameters.

        Returns: also those that only the table sets, at the transformer's own default where the
            trial's values leave them out.
        """
        step_type = STEP_TYPES[step.type]
        merged = Step(
            type=step.type,
            name=step.name,
            parameters={**step.parameters, **searched},
            columns=step.columns,
        )
        arguments: dict[str, Any] = dict(step_arguments(merged, self._task))
        for name in step_type.defaults:
            if name not in arguments:
                arguments[name] = _load(step_type.transformer)().get_params()[name]
        if step_type.functions:
            for name, value in arguments.items():
                if isinstance(value, str) and value in step_type.functions:
                    arguments[name] = self._function(value, step_type.functions[value])
        return arguments

    def columns(self, step: Step) -> ColumnKind:
        """Says which columns a step works on."""
        return step_columns(step)

    def encodes(self, step: Step) -> bool:
        """Whether a step turns text into numbers."""
        return STEP_TYPES[step.type].encodes

    def _function(self, name: str, path: str) -> Any:
        function = _load(path)
        if name in SEEDED_FUNCTIONS:
            return functools.partial(function, random_state=self._seed)
        return function


@functools.cache
def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)

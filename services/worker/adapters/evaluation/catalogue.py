"""From the core's tables of names to scikit-learn's classes and functions."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from sklearn.model_selection import KFold, StratifiedKFold

from services.core.model_catalog import MODEL_TYPES
from services.core.objective import ColumnKind, EvaluationSpec, Step, Task
from services.core.preprocessing_types import (
    SEEDED_FUNCTIONS,
    STEP_TYPES,
    step_arguments,
    step_columns,
)
from services.core.space import Value
from services.core.step_choices import choosable

# Estimators whose interface differs from that of scikit-learn's own, by what stands for them here.
_ADAPTED = {
    "xgboost:XGBClassifier": "services.worker.adapters.evaluation.labelled_xgboost:XGBClassifier"
}


class MissingLibrary(ImportError):
    """A worker was installed without what a model type needs."""


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
        self._model = model
        self._task: Task = model.task
        self._seed = spec.random_state

    def model(self) -> Any:
        """Makes the estimator, with what every worker sets and nothing else.

        Raises: ImportError: this worker lacks the library it comes from.
        """
        path = _ADAPTED.get(self._model.estimator, self._model.estimator)
        try:
            estimator = _load(path)
        except ModuleNotFoundError as error:
            if error.name != self._model.library:
                raise
            raise MissingLibrary(
                f"{self._model.name} needs {error.name}, which this worker has not; install"
                " crescendo-tuning[services,boosting] where it runs, or choose a worker class whose"
                " workers have it"
            ) from error
        except OSError as error:
            # Nothing of the dataset's: the library's own part in C lacks something, such as libgomp.
            raise MissingLibrary(
                f"{self._model.name} needs {self._model.library}, which this worker cannot load: {error}"
            ) from error
        return estimator(**self._model.settings)

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
        if step_type.shuffled_folds:
            counted = arguments[step_type.shuffled_folds]
            arguments[step_type.shuffled_folds] = self._splitter(counted)
        return arguments

    def choosable(self, steps: Iterable[Step]) -> dict[str, Step]:
        """Gives the steps whose types a trial may choose, by name."""
        return choosable(self._model, steps)

    def columns(self, step: Step) -> ColumnKind:
        """Says which columns a step works on."""
        return step_columns(step)

    def encodes(self, step: Step) -> bool:
        """Whether a step turns text into numbers."""
        return STEP_TYPES[step.type].encodes

    def _splitter(self, n_splits: int) -> Any:
        """Makes the folds scikit-learn itself makes of a number, with the run's seed."""
        kind = StratifiedKFold if self._task is Task.CLASSIFICATION else KFold
        return kind(n_splits=n_splits, shuffle=True, random_state=self._seed)

    def _function(self, name: str, path: str) -> Any:
        function = _load(path)
        if name in SEEDED_FUNCTIONS:
            return functools.partial(function, random_state=self._seed)
        return function


@functools.cache
def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)

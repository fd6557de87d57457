"""The form of an entry in the tables of preprocessing types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.core.objective import ColumnKind
from services.core.parameter_schema import ParameterSchema
from services.core.space import Assignment


@dataclass(frozen=True, slots=True, kw_only=True)
class StepType:
    """One transformer; one that takes `random_state` gets the run's seed.

    Attributes:
        transformer: import path as `module:Class`.
        parameters: schema by constructor parameter.
        blocked: constructor parameters clients may not set.
        columns: the columns it works on unless the step says otherwise.
        defaults: arguments that differ from the transformer's own defaults.
        encodes: turns text into numbers.
        functions: import path by the name under which a parameter's string stands for a function.
        takes_missing: accepts NaN in the columns it works on, with the parameters it comes with.
        shuffled_folds: parameter that counts the folds of an inner cross-validation, shuffled by the
            run's seed; empty when there is none.
    """

    name: str
    transformer: str
    parameters: Mapping[str, ParameterSchema]
    blocked: tuple[str, ...]
    columns: ColumnKind
    defaults: Assignment = field(default_factory=dict)
    encodes: bool = False
    functions: Mapping[str, str] = field(default_factory=dict)
    takes_missing: bool = True
    shuffled_folds: str = ""

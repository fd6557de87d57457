"""Building the estimator a model run describes: the Pipeline a user would write by hand."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from services.core.early_stopping import without_early_stopping
from services.core.objective import ColumnKind, EvaluationSpec, Step
from services.core.space import Assignment, Value
from services.core.step_choices import PASSTHROUGH, chosen_step
from services.worker.adapters.evaluation.catalogue import Catalogue
from services.worker.adapters.evaluation.columns import ColumnsNamed, ColumnsOtherThan

Estimator: TypeAlias = Any  # scikit-learn has no type of its own for these

_MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltEstimator:
    """An unfitted estimator and where its parameters are.

    Attributes:
        prefixes: step name → prefix of its parameters in `estimator.set_params`; steps that have no
            columns to work on are left out.
        steps: all steps of the model run by name.
        model_prefix: prefix of the model's own parameters; empty without steps.
        random_state: seeds steps that are chosen.
    """

    estimator: Estimator
    catalogue: Catalogue
    prefixes: Mapping[str, str]
    steps: Mapping[str, Step]
    model_prefix: str
    random_state: int

    @property
    def weight_parameter(self) -> str:
        """The argument of `fit` that takes the weights of the rows; empty where the model takes none."""
        model = self.estimator.steps[-1][1] if self.model_prefix else self.estimator
        takes = has_fit_parameter(model, "sample_weight")
        return f"{self.model_prefix}sample_weight" if takes else ""

    def with_parameters(self, assignment: Assignment) -> Estimator:
        """Gives a clone with parameters set by the names a model run uses for them.

        Raises: ValueError: the estimator or a step has no such parameter.
        """
        return clone(self.estimator).set_params(**self.translated(assignment))

    def varied_stages(self, assignment: Assignment) -> frozenset[str]:
        """Names the pipeline's stages with steps that an assignment chooses or sets parameters of."""
        steps = (name.partition("__")[0] for name in assignment)
        return frozenset(
            self.prefixes[step].partition("__")[0] for step in steps if step in self.prefixes
        )

    def translated(self, assignment: Assignment) -> dict[str, Any]:
        """Gives parameters by their names in `estimator.set_params`.

        Those of left-out steps are dropped, and those of early stopping: they go with the fit.

        Raises: ValueError: a step is chosen that does not exist, or parameters are given to one left out.
        """
        translated: dict[str, Any] = {}
        of_steps: dict[str, dict[str, Value]] = {}
        chosen: dict[str, Value] = {}
        choices = self.catalogue.choosable(self.steps.values())
        for name, value in without_early_stopping(assignment).items():
            step, separator, parameter = name.partition("__")
            if separator and step in self.steps:
                of_steps.setdefault(step, {})[parameter] = value
            elif name in choices:
                chosen[name] = value
            else:
                translated[self.model_prefix + name] = value
        for name in [name for name in self.prefixes if name in of_steps or name in chosen]:
            searched, prefix = of_steps.get(name, {}), self.prefixes[name]
            taken = chosen_step(self.steps[name], chosen.get(name, self.steps[name].type))
            if taken is None:
                if searched:
                    raise ValueError(
                        f"{name} is {PASSTHROUGH}, which takes no {', '.join(searched)}"
                    )
                translated[prefix] = PASSTHROUGH
                continue
            if taken is not self.steps[name]:
                translated[prefix] = self._in_place(prefix, taken)
            arguments = self.catalogue.arguments(taken, searched) if searched else {}
            translated.update({f"{prefix}__{key}": each for key, each in arguments.items()})
        return translated

    def _in_place(self, prefix: str, step: Step) -> Estimator:
        """Makes the transformer of another type that stands in a step's place."""
        transformer = self.catalogue.transformer(step)
        if "random_state" in transformer.get_params():
            transformer.set_params(random_state=self.random_state)
        own = self.estimator.get_params()[prefix]
        if "transform" in getattr(own, "_sklearn_output_config", {}):
            # Later steps pick their columns by name, where the step replaced made a frame for them.
            transformer.set_output(transform="pandas")
        return transformer


def build(
    spec: EvaluationSpec, *, numeric: Sequence[str], categorical: Sequence[str]
) -> BuiltEstimator:
    """Builds the estimator of a model run for data with these columns.

    Without text columns this is `Pipeline([*steps, ("model", model)])`, or the bare model when no
    step is left; steps for columns that do not exist are left out. With both kinds of columns,
    neighbouring steps for one kind each become a ColumnTransformer of one pipeline per kind.

    Raises: ValueError: the model type, a step's type or a fixed parameter is unknown.
    """
    catalogue = Catalogue(spec)
    layout = _Layout(
        catalogue,
        numeric=numeric,
        categorical=categorical,
        taken=frozenset(step.name for step in spec.steps),
    )
    for step in spec.steps:
        layout.add(step)
    stages, prefixes = layout.finish()
    model = catalogue.model()
    estimator = Pipeline([*stages, (_MODEL, model)]) if stages else model
    built = BuiltEstimator(
        estimator=estimator,
        catalogue=catalogue,
        prefixes=prefixes,
        steps={step.name: step for step in spec.steps},
        model_prefix=f"{_MODEL}__" if stages else "",
        random_state=spec.random_state,
    )
    fixed = built.translated(spec.fixed_parameters)
    seeds = {
        name: spec.random_state
        for name, value in estimator.get_params(deep=True).items()
        # scikit-learn marks parameters it will drop by the value "deprecated".
        if name.rpartition("__")[2] == "random_state"
        and name not in fixed
        and not isinstance(value, str)
    }
    estimator.set_params(**seeds, **fixed)
    return built


class _Layout:
    """Arranges steps: those for all columns as they come, neighbours for one kind side by side."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        numeric: Sequence[str],
        categorical: Sequence[str],
        taken: frozenset[str],
    ) -> None:
        self._catalogue = catalogue
        self._taken = taken
        # Steps make new numeric columns; text columns keep their names until they are encoded.
        self._branches = (
            (ColumnKind.NUMERIC, ColumnsOtherThan(tuple(categorical))),
            (ColumnKind.CATEGORICAL, ColumnsNamed(tuple(categorical))),
        )
        self._numbers_and_text = bool(numeric) and bool(categorical)
        self._text_left = bool(categorical)
        self._stages: list[tuple[str, Estimator]] = []
        self._prefixes: dict[str, str] = {}
        self._group: dict[ColumnKind, list[tuple[Step, Estimator]]] = {}

    def add(self, step: Step) -> None:
        """Adds the next step."""
        kind = self._catalogue.columns(step)
        transformer = self._catalogue.transformer(step)
        if kind is ColumnKind.ALL:
            self._close_group()
            if self._mixed and not self._catalogue.encodes(step):
                # Later steps pick their columns by name; arrays have none.
                transformer.set_output(transform="pandas")
            self._append(step, transformer)
        elif self._mixed:
            self._group.setdefault(kind, []).append((step, transformer))
        elif kind is (ColumnKind.CATEGORICAL if self._text_left else ColumnKind.NUMERIC):
            self._append(step, transformer)

    def finish(self) -> tuple[list[tuple[str, Estimator]], dict[str, str]]:
        """Gives the pipeline's stages and the prefix of each step's parameters."""
        self._close_group()
        return self._stages, self._prefixes

    @property
    def _mixed(self) -> bool:
        """Whether numbers and text are still side by side; encoders leave numbers only."""
        return self._numbers_and_text and self._text_left

    def _append(self, step: Step, transformer: Estimator) -> None:
        self._stages.append((step.name, transformer))
        self._prefixes[step.name] = step.name
        if self._catalogue.encodes(step):
            self._text_left = False

    def _close_group(self) -> None:
        if not self._group:
            return
        name = self._group_name()
        branches: list[tuple[str, Estimator, ColumnsNamed | ColumnsOtherThan]] = []
        encoded = False
        for kind, chosen in self._branches:
            members = self._group.get(kind, [])
            if not members:
                branches.append((kind.value, "passthrough", chosen))
                continue
            pipeline = Pipeline([(step.name, each) for step, each in members])
            branches.append((kind.value, pipeline, chosen))
            for step, _ in members:
                self._prefixes[step.name] = f"{name}__{kind.value}__{step.name}"
                encoded = encoded or self._catalogue.encodes(step)
        transformer = ColumnTransformer(branches, verbose_feature_names_out=False)
        if encoded:
            self._text_left = False
        else:
            transformer.set_output(transform="pandas")
        self._stages.append((name, transformer))
        self._group = {}

    def _group_name(self) -> str:
        """Names the next group `columns`, or `columns2`, … where a step or group is called so."""
        taken = {*self._taken, *(name for name, _ in self._stages)}
        names = (f"columns{number}" for number in itertools.count(2))
        return "columns" if "columns" not in taken else next(n for n in names if n not in taken)

"""Steps as choices: a search that names a preprocessing step tries several types for it, or none.

The bare name of a step is the parameter, `passthrough` leaves the step out, as in scikit-learn's Pipeline.
A step's own parameters are active only with the types that take them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from services.core.model_types import ModelType
from services.core.objective import Step
from services.core.parameter_schema import ParameterSchema, allows, shown
from services.core.preprocessing_types import STEP_TYPES, step_columns
from services.core.space import (
    Choices,
    Condition,
    Domain,
    Fixed,
    Grid,
    Parameter,
    SearchSpace,
    Value,
    is_member,
)
from services.core.violations import Violations

PASSTHROUGH: Final = "passthrough"
"""Leaves a step out."""


def choosable(model_type: ModelType, steps: Iterable[Step]) -> dict[str, Step]:
    """The steps that may be searched, by name: a bare name that the estimator takes is the estimator's."""
    return {each.name: each for each in steps if each.name not in model_type.parameters}


def choice_schema(step: Step) -> ParameterSchema:
    """What may stand in a step's place: types for the same columns, and nothing unless it encodes text."""
    own = STEP_TYPES[step.type]
    kind = step_columns(step)
    names = [
        each.name
        for each in STEP_TYPES.values()
        if each.encodes == own.encodes
        and step_columns(Step(type=each.name, name=step.name, columns=step.columns)) is kind
    ]
    return ParameterSchema(strings=(*names, *(() if own.encodes else (PASSTHROUGH,))))


def offered_types(step: Step, values: Iterable[object]) -> list[str]:
    """The types among the values a search gives a step; its own when there are none."""
    named = [each for each in values if isinstance(each, str) and each in STEP_TYPES]
    return list(dict.fromkeys(named)) or [step.type]


def chosen_step(step: Step, value: Value) -> Step | None:
    """The step a point chooses; its own type keeps the parameters the model run gives it.

    Returns: None for a step that is left out.

    Raises: ValueError: the value is no type of a step.
    """
    if value == PASSTHROUGH:
        return None
    if value == step.type:
        return step
    if not isinstance(value, str) or value not in STEP_TYPES:
        raise ValueError(f"{value!r} is no preprocessing type that {step.name} may be")
    return Step(type=value, name=step.name, columns=step.columns)


def offered_in(space: SearchSpace) -> dict[str, tuple[Value, ...]]:
    """The values a space gives each step it searches."""
    found: dict[str, tuple[Value, ...]] = {}
    for part in space.parts:
        for each in part.parameters:
            if each.is_step:
                found[each.name] = (*found.get(each.name, ()), *_listed(each.domain))
    return found


def with_step_choices(
    space: SearchSpace,
    steps: Mapping[str, Step],
    path: Callable[[str], str],
    found: Violations,
) -> SearchSpace:
    """Marks the steps a space searches, and makes their parameters active with the types that take them.

    Args:
        space: without alternatives.
        steps: those that may be searched, by name.
        path: of a parameter in the request, for the violations.
    """
    marked = {each.name for each in space.parameters} & set(steps)
    parameters = []
    for each in space.parameters:
        owner, separator, name = each.name.partition("__")
        if each.name in marked:
            parameters.append(replace(each, is_step=True))
        elif separator and owner in marked:
            chosen = next(one for one in space.parameters if one.name == owner)
            parameters.append(_bound(each, name, chosen, path(each.name), found))
        else:
            parameters.append(each)
    grouped = {name for each in space.constraints for name in each.names}
    for each in parameters:
        if each.name in grouped and each.conditions:
            found.add(
                path(each.name),
                "is in a constraint, but not all types its step may be take it; members of a constraint"
                " are always active",
            )
    return space if found else replace(space, parameters=tuple(parameters))


def _bound(
    parameter: Parameter, name: str, step: Parameter, path: str, found: Violations
) -> Parameter:
    offered = _listed(step.domain)
    takers = [each for each in offered if isinstance(each, str) and name in _parameters_of(each)]
    if not takers:
        listed = ", ".join(shown(each) for each in offered)
        found.add(
            path, f"is taken by nothing that {step.name} may be here ({listed}); leave it out"
        )
        return parameter
    for taker in takers:
        schema = _parameters_of(taker)[name]
        wrong = [each for each in _outermost(parameter) if not allows(schema, each)]
        if wrong:
            found.add(
                path,
                f"{shown(wrong[0])} is not allowed with {step.name} {taker}; give {schema}, or search"
                " the types apart by a list of grids",
            )
    own = [each for each in parameter.conditions if each.parent == step.name]
    for condition in own:
        if not all(is_member(each, takers) for each in condition.values):
            listed = ", ".join(takers)
            found.add(path, f"has a condition on {step.name}, but only {listed} take it")
    if own or len(takers) == len(offered):
        return parameter
    condition = Condition(parent=step.name, values=tuple(takers))
    return replace(parameter, conditions=(*parameter.conditions, condition))


def _parameters_of(step_type: str) -> Mapping[str, ParameterSchema]:
    return STEP_TYPES[step_type].parameters if step_type in STEP_TYPES else {}


def _listed(domain: Domain) -> tuple[Value, ...]:
    match domain:
        case Fixed(value=value):
            return (value,)
        case Choices(values=values) | Grid(values=values):
            return values
        case _:
            return ()


def _outermost(parameter: Parameter) -> Sequence[Value]:
    """The values that a schema must allow for it to allow all of a parameter's."""
    domain = parameter.domain
    if isinstance(domain, Fixed | Choices | Grid):
        return _listed(domain)
    return (domain.low, domain.high, *parameter.specials)

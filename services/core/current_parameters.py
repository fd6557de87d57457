"""The parameters a model has now: what its model run fixes, and scikit-learn's defaults for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.core.model_defaults import default_parameters
from services.core.objective import Step
from services.core.space import (
    Assignment,
    SearchSpace,
    SumToOne,
    Value,
    active_parameters,
    constraint_met,
    parameter_contains,
)


def current_parameters(
    model_type: str, fixed_parameters: Assignment, steps: Sequence[Step], names: Iterable[str]
) -> dict[str, Value]:
    """The current values of parameters, by name; those not known are left out.

    Args:
        names: a bare name is the estimator's or a step's, whose value is its type; `step__name` is
            known where the step sets it.
    """
    known: dict[str, Value] = {**default_parameters(model_type), **fixed_parameters}
    for step in steps:
        known.setdefault(step.name, step.type)
        for name, value in step.parameters.items():
            known[f"{step.name}__{name}"] = value
    return {name: known[name] for name in names if name in known}


def outside(space: SearchSpace, current: Assignment) -> list[str]:
    """Says for people why current values are no point of a space, parameter by parameter.

    Of alternatives it says so of the one that lacks least; nothing where one holds them.
    """
    if space.alternatives:
        own = (active_part(each, current) for each in space.alternatives)
        reasons = [
            outside(each, {name: part[name] for name in each.names if name in part})
            for each, part in zip(space.alternatives, own, strict=True)
        ]
        return min(reasons, key=len)
    found = []
    for each in sorted(active_parameters(space, current), key=lambda each: each.name):
        if each.name not in current:
            found.append(f"{each.name} has no known value")
        elif not parameter_contains(each, current[each.name]):
            found.append(f"{each.name} is {current[each.name]!r}")
    known = {each.name for each in space.parameters} & set(current)
    for constraint in space.constraints:
        if known.issuperset(constraint.names) and not constraint_met(constraint, current):
            how = "sum to one" if isinstance(constraint, SumToOne) else "stand in order"
            found.append(f"{' and '.join(constraint.names)} do not {how}")
    return found


def active_part(space: SearchSpace, values: Assignment) -> dict[str, Value]:
    """Leaves out the values of parameters that are not active beside the others.

    Of alternatives the first that holds what is left counts; the first of all where none does.
    """
    if space.alternatives:
        strangers = {name: each for name, each in values.items() if name not in space.names}
        parts = []
        for each in space.alternatives:
            own = {name: values[name] for name in each.names if name in values}
            parts.append((each, active_part(each, own)))
        held = (part for each, part in parts if not outside(each, part))
        return {**next(held, parts[0][1]), **strangers}
    inactive = set(space.names) - {each.name for each in active_parameters(space, values)}
    return {name: value for name, value in values.items() if name not in inactive}

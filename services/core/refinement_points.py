"""Keeping a refined space searchable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.core.counting import cardinality
from services.core.space import (
    Choices,
    Parameter,
    SearchSpace,
    Value,
    contains,
    is_member,
    parameter_contains,
    parameter_size,
)
from services.core.trial import Trial


def with_two_points(
    original: SearchSpace, after: SearchSpace, evidence: Sequence[Trial]
) -> SearchSpace:
    """Keeps a space that came down to one point searchable, unless the original was one point."""
    if cardinality(after) != 1 or cardinality(original) == 1:
        return after
    names = set(after.names)
    points = (
        {name: value for name, value in each.parameters.items() if name in names}
        for each in evidence
    )
    following = next((each for each in points if not contains(after, each)), None)
    if following is not None:
        return replace(
            after,
            parameters=tuple(
                _grown(old, new, following[old.name]) if old.name in following else new
                for old, new in zip(original.parameters, after.parameters, strict=True)
            ),
        )
    # Every success was at the same point: nothing says which other values are worth a trial.
    searched = next(each for each in original.parameters if parameter_size(each) != 1)
    return replace(
        after,
        parameters=tuple(
            searched if each.name == searched.name else each for each in after.parameters
        ),
    )


def _grown(original: Parameter, after: Parameter, value: Value) -> Parameter:
    """Adds a value of the original parameter to what is left of it."""
    if parameter_contains(after, value) or not parameter_contains(original, value):
        return after
    if isinstance(original.domain, Choices) and isinstance(after.domain, Choices):
        kept = after.domain.values
        values = tuple(each for each in original.domain.values if is_member(each, (*kept, value)))
        return replace(after, domain=Choices(values=values))
    if isinstance(after.domain, Choices) and is_member(value, original.specials):
        values = tuple(
            each for each in original.specials if is_member(each, (*after.domain.values, value))
        )
        return replace(after, domain=Choices(values=values))
    return original

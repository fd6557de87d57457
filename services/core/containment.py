"""What is wrong with a point that lies outside a space."""

from __future__ import annotations

from services.core.errors import FieldViolation, OutOfSpace
from services.core.space import (
    Assignment,
    SearchSpace,
    SumToOne,
    active_parameters,
    constraint_met,
    contains,
    parameter_contains,
)


def require_contained(space: SearchSpace, assignment: Assignment) -> None:
    """Checks that a point lies in a space.

    Raises: OutOfSpace: it does not; `violations` names each parameter that is missing, unknown, not
        active or outside its domain, and each constraint that is not met. Outside all of several
        alternatives it is told once.
    """
    if space.alternatives:
        if not contains(space, assignment):
            text = f"lies in none of the {len(space.alternatives)} alternatives of the space"
            raise OutOfSpace([FieldViolation(field="point", description=text)])
        return
    active = active_parameters(space, assignment)
    violations = [
        FieldViolation(field=each.name, description="is missing from the point")
        if each.name not in assignment
        else FieldViolation(
            field=each.name,
            description=f"{assignment[each.name]!r} lies outside its domain",
        )
        for each in sorted(active, key=lambda each: each.name)
        if each.name not in assignment or not parameter_contains(each, assignment[each.name])
    ]
    known = set(space.names)
    violations += [
        FieldViolation(
            field=name,
            description="is not active at this point"
            if name in known
            else "is not a parameter of the space",
        )
        for name in sorted(set(assignment) - {each.name for each in active})
    ]
    violations += [
        FieldViolation(
            field=", ".join(each.names),
            description="do not sum to one" if isinstance(each, SumToOne) else "are not in order",
        )
        for each in space.constraints
        if not constraint_met(each, assignment)
    ]
    if violations:
        raise OutOfSpace(violations)

"""How large the description of a plan may be, which answers its request and every question about it."""

from __future__ import annotations

from typing import Final

from services.core.errors import FieldViolation, InvalidRequest
from services.core.plan import Plan
from services.core.space import Choices, Grid, Parameter, SearchSpace, Value

MAX_LISTED_BYTES: Final = 3 * 1024 * 1024
"""Of all values that a plan lists. Clients that set no limit of their own take answers of 4 MiB."""

# Each tuning run tells the space it searches and the one it was asked for.
_TOLD = 2


def check_listed(plan: Plan) -> None:
    """Checks that clients will be able to read what a plan is.

    Raises: InvalidRequest: its tuning runs list too many values.
    """
    runs = [run for stage in plan.stages for run in stage.tuning_runs]
    size = sum(_TOLD * _listed_bytes(run.space) for run in runs)
    if size <= MAX_LISTED_BYTES:
        return
    longest, where = max(
        ((each, run) for run in runs for part in run.space.parts for each in part.parameters),
        key=lambda found: len(_values(found[0])),
    )
    raise InvalidRequest(
        [
            FieldViolation(
                field="",
                description=f"the spaces of {len(runs):,} tuning runs list values of {size:,} bytes, above"
                f" the limit of {MAX_LISTED_BYTES:,}; {longest.name} of {where.model_type} lists"
                f" {len(_values(longest)):,}: give a range, or fewer values",
            )
        ]
    )


def _listed_bytes(space: SearchSpace) -> int:
    return sum(
        _bytes_of(value)
        for part in space.parts
        for each in part.parameters
        for value in _values(each)
    )


def _values(parameter: Parameter) -> tuple[Value, ...]:
    domain = parameter.domain
    return domain.values if isinstance(domain, Choices | Grid) else ()


def _bytes_of(value: Value) -> int:
    """About what a value takes as a message."""
    if isinstance(value, tuple):
        return 4 + sum(map(_bytes_of, value))
    return 4 + (len(value.encode()) if isinstance(value, str) else 8)

"""Search spaces and distributions as a request brings them.

Nothing here is valid yet: a range may be empty, a name unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.core.space import Choices, Condition, Constraint, Fixed, Grid, Value

UNIFORM: Final = "uniform"
LOGUNIFORM: Final = "loguniform"
QUNIFORM: Final = "quniform"
RANDINT: Final = "randint"
CHOICE: Final = "choice"

DISTRIBUTIONS: Final = (UNIFORM, LOGUNIFORM, QUNIFORM, RANDINT, CHOICE)
"""The kinds of distributions a client may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeRequest:
    """A range as asked for; `whole` ranges hold ints."""

    whole: bool
    low: float
    high: float
    log: bool = False
    step: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterRequest:
    """One typed parameter as asked for; a domain of None was left out.

    Attributes:
        choices_log: the scale said of choices, which have none; None when it was left out.
    """

    name: str
    domain: RangeRequest | Choices | Grid | Fixed | None
    choices_log: bool | None = None
    specials: tuple[Value, ...] = ()
    conditions: tuple[Condition, ...] = ()

    @property
    def parents(self) -> tuple[str, ...]:
        """The names of the parameters it depends on."""
        return tuple(each.parent for each in self.conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceRequest:
    """A typed space as asked for, its parameters in the order given; a constraint of None was left out.

    Alternatives stand instead of the rest; what stands beside them is refused.
    """

    parameters: tuple[ParameterRequest, ...] = ()
    constraints: tuple[Constraint | None, ...] = ()
    alternatives: tuple[SpaceRequest, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionRequest:
    """A distribution as asked for; what was not set is None.

    Attributes:
        type: one of DISTRIBUTIONS.
        lower: lowest value.
        upper: highest value, itself left out by `randint`.
        step: distance between values, for `quniform`.
        values: JSON values, for `choice`.
    """

    type: str
    lower: float | None = None
    upper: float | None = None
    step: float | None = None
    values: Sequence[object] | None = None


def values_by_name(request: SpaceRequest) -> dict[str, tuple[Value, ...]]:
    """The values that parameters of a space list, by name; ranges are left out."""
    found: dict[str, tuple[Value, ...]] = {}
    for each in request.parameters:
        if isinstance(each.domain, Choices | Grid):
            found[each.name] = each.domain.values
        elif isinstance(each.domain, Fixed):
            found[each.name] = (each.domain.value,)
    return found

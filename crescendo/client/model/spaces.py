"""Search spaces, and how they were refined."""

from __future__ import annotations

from dataclasses import dataclass

from crescendo.client.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceCondition:
    """A parameter of a space and those of its values at which another one is active."""

    parent: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceParameter:
    """One parameter of a space.

    Attributes:
        kind: `float_range`, `int_range`, `choices`, `fixed` or `grid`.
        low: lowest value of a range; None for the other kinds.
        high: highest value of a range.
        values: the values of a list, and those allowed beside a range.
        conditions: what must hold for it to be active, all of them; empty when it always is.
        alternative: place of the alternative it belongs to, such as a grid of a list; None without any.
    """

    name: str
    kind: str
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    values: tuple[Value, ...] = ()
    conditions: tuple[SpaceCondition, ...] = ()
    alternative: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterRefinement:
    """What a refinement did to one parameter, and why."""

    name: str
    before: SpaceParameter
    after: SpaceParameter
    rule: str
    explanation: str
    effective_factor: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refinement:
    """How the space of one stage was made from the results before it."""

    refinement_id: int
    source_tuning_run_id: str
    target_tuning_run_id: str
    refinement_factor: float
    evidence_trial_numbers: tuple[int, ...]
    best_trial_number: int
    parameters: tuple[ParameterRefinement, ...]
    summary: str
    rule: str = "fixed"

"""The rules a refinement may apply to a parameter, told from its values before and after."""

from __future__ import annotations

from typing import Final

from services.core.space import FloatRange, IntRange, Parameter

NARROWED: Final = "narrowed"
WIDENED: Final = "widened"
KEPT_VALUES: Final = "kept_values"
DROPPED_RANGE: Final = "dropped_range"
UNCHANGED: Final = "unchanged"
HELD: Final = "held"

NO_REFINEMENT: Final = "none"
FIXED: Final = "fixed"
ADAPTIVE: Final = "adaptive"
NEAR: Final = "near"
"""Within a share of each range around the best trial, whatever the others say: what a local stage searches."""

REFINEMENTS: Final = (FIXED, ADAPTIVE)
"""How far a client may have ranges reach around the best; with NO_REFINEMENT all is as it was asked for."""

RULES: Final = (NARROWED, WIDENED, KEPT_VALUES, DROPPED_RANGE, UNCHANGED, HELD)
"""What may happen to a parameter."""


def rule_for(before: Parameter, after: Parameter) -> str:
    """Returns the rule that made one parameter of another.

    A range that reaches beyond the one before on either side is widened; a range that comes back
    after it was dropped is widened too.
    """
    if before == after:
        return UNCHANGED
    ranges = IntRange | FloatRange
    old, new = before.domain, after.domain
    if not isinstance(new, ranges):
        return DROPPED_RANGE if isinstance(old, ranges) else KEPT_VALUES
    if not isinstance(old, ranges) or new.low < old.low or new.high > old.high:
        return WIDENED
    if new.low > old.low or new.high < old.high:
        return NARROWED
    return KEPT_VALUES

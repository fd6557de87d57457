"""Figures as they were measured, beside the bounds they should meet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table.

    Attributes:
        bound: what is promised, in words.
        measured: what was found, in words.
        met: None where there is nothing to compare with.
    """

    what: str
    bound: str
    measured: str
    met: bool | None


def percentile(values: Sequence[float], share: float) -> float:
    """Gives the smallest value that `share` of the values do not exceed; NaN without values."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(values: Sequence[float], unit: str = "s") -> str:
    """Describes measurements: p50, p99, and how many there are."""
    p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
    return f"p50 {_number(p50)} {unit}, p99 {_number(p99)} {unit} (n = {len(values)})"


def table(figures: Sequence[Figure]) -> str:
    """Writes figures as a table in Markdown."""
    words = {True: "yes", False: "**no**", None: "–"}
    lines = ["| what | bound | measured | met |", "|---|---|---|---|"]
    lines += [f"| {e.what} | {e.bound} | {e.measured} | {words[e.met]} |" for e in figures]
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"

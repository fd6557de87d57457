"""Lists of JSON values as requests bring them, for one parameter."""

from __future__ import annotations

from collections.abc import Sequence

from services.core.digest import value_key
from services.core.json_numbers import with_fractions
from services.core.parameter_schema import ParameterSchema, Refused, check_value, shown
from services.core.space import Value
from services.core.violations import Violations


def parse_values(
    values: Sequence[object], schema: ParameterSchema, path: str, found: Violations
) -> list[Value]:
    """Types a list of JSON values; what is wrong with it goes to `found`."""
    if not values:
        found.add(path, "has no values; give at least one, or leave the parameter out")
    if schema.counts_and_fractions:
        values = with_fractions(values)
    typed: list[Value] = []
    places: dict[str, int] = {}
    for place, value in enumerate(values):
        checked = check_value(schema, value)
        if isinstance(checked, Refused):
            found.add(f"{path}[{place}]", checked.text)
            continue
        first = places.setdefault(value_key(checked), place)
        if first != place:
            found.add(f"{path}[{place}]", f"{shown(checked)} repeats the value at [{first}]")
            continue
        typed.append(checked)
    return typed

"""Random values that a parameter schema allows, with its limits among them."""

from __future__ import annotations

import math

import numpy as np

from services.core.parameter_schema import Floats, Ints, ParameterSchema, Tuples
from services.core.space import Value


def allowed_values(schema: ParameterSchema, rng: np.random.Generator) -> list[Value]:
    """Returns values of every kind the schema allows."""
    values: list[Value] = list(schema.strings)
    if schema.nullable:
        values.append(None)
    if schema.booleans:
        values += [True, False]
    if schema.text:
        values.append("missing")
    if schema.ints is not None:
        values += [schema.ints.low, schema.ints.high, _an_int(schema.ints, rng)]
    if schema.floats is not None:
        values += _some_floats(schema.floats, rng)
    if schema.tuples is not None:
        values.append(_a_tuple(schema.tuples, rng))
    return values


def _an_int(ints: Ints, rng: np.random.Generator) -> int:
    return int(rng.integers(ints.low, min(ints.high, ints.low + 1000) + 1))


def _some_floats(floats: Floats, rng: np.random.Generator) -> list[Value]:
    low = floats.low if math.isfinite(floats.low) else -1e6
    high = floats.high if math.isfinite(floats.high) else max(low, 0) + 1e6
    inner = [low + (high - low) * float(rng.uniform(0.01, 0.99)) for _ in range(2)]
    ends = [
        math.nextafter(low, math.inf) if floats.low_open else low,
        math.nextafter(high, -math.inf) if floats.high_open else high,
    ]
    return [*inner, *ends]


def _a_tuple(tuples: Tuples, rng: np.random.Generator) -> Value:
    length = min(tuples.min_length + 1, tuples.max_length)
    if isinstance(tuples.items, Ints):
        return tuple(_an_int(tuples.items, rng) for _ in range(length))
    items = [each for each in _some_floats(tuples.items, rng) if isinstance(each, float)]
    return tuple(sorted(items)[:length])

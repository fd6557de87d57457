"""The types columns of stored datasets have."""

from __future__ import annotations

from typing import Any

import pyarrow as pa


def canonical_column(column: Any) -> Any | None:
    """Gives a column as float64, int64, bool or string; None for a type that is none of them."""
    try:
        return _converted(column)
    except pa.ArrowException:
        # Of a type, or with values, that Arrow cannot bring into any of them.
        return None


def _converted(column: Any) -> Any | None:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _converted(column.cast(kind.value_type))
    if pa.types.is_boolean(kind) or kind in (pa.int64(), pa.float64(), pa.string()):
        return column
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return column.cast(pa.float64())
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.string())
    return None

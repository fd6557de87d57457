"""Choosing columns inside a ColumnTransformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ColumnsNamed:
    """Picks those of some columns that are still there; selection steps may have dropped some."""

    names: tuple[str, ...]

    def __call__(self, features: Any) -> list[str]:
        """Gives the names to take, in the order of the data."""
        wanted = set(self.names)
        return [name for name in features.columns if name in wanted]


@dataclass(frozen=True, slots=True)
class ColumnsOtherThan:
    """Picks all columns but some: also those that steps before have made."""

    names: tuple[str, ...]

    def __call__(self, features: Any) -> list[str]:
        """Gives the names to take, in the order of the data."""
        left_out = set(self.names)
        return [name for name in features.columns if name not in left_out]

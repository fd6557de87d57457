"""What columns of a dataset are for, beside features and target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRoles:
    """Columns with a role, which are no features; empty where there is none.

    Attributes:
        group_column: rows with one value stay on one side of a split by groups.
        time_column: orders the rows of a split by time.
        weight_column: weights of the rows, ≥ 0.
        fold_column: the test fold of each row, from 0; -1 for rows that are never tested.
        positive_label: the class, as text, that metrics of two classes take as positive.
    """

    group_column: str = ""
    time_column: str = ""
    weight_column: str = ""
    fold_column: str = ""
    positive_label: str = ""

    @property
    def columns(self) -> Mapping[str, str]:
        """Role → column, for those roles that have one, in a fixed order."""
        named = {
            "group": self.group_column,
            "time": self.time_column,
            "weight": self.weight_column,
            "fold": self.fold_column,
        }
        return {role: column for role, column in named.items() if column}


NO_ROLES: Final = DatasetRoles()
"""The roles of a dataset of features and target alone."""

"""What is asked of a searcher in another process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from services.coordinator.ports import SearchTask
from services.core.searcher import Suggestion
from services.core.trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One call of a searcher."""

    task: SearchTask
    count: int
    first_index: int
    known: tuple[Trial, ...]


Answer: TypeAlias = tuple[list[Suggestion], str]
"""The suggestions, or why there are none."""

"""What one split of one trial came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.core.intervals import SplitFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredSplit:
    """The scores of one split by metric; `train` is empty where they were not asked for."""

    test: Mapping[str, float]
    train: Mapping[str, float]
    facts: SplitFacts

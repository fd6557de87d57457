"""The three sizes of presets, and what each lets a search use up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final


class PresetSize(Enum):
    """How much is tried: little that is safe, what is usual, or all that may be worth a try."""

    CONSERVATIVE = "conservative"
    DEFAULT = "default"
    AGGRESSIVE = "aggressive"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchEffort:
    """What a search may use up where the request does not say.

    Attributes:
        trials: of each tuning run, ≥ 5; of all three stages of a progressive search.
        seconds: time RUNNING.
    """

    trials: int
    seconds: float

    @property
    def stage_trials(self) -> tuple[int, int, int]:
        """The trials of a progressive search by stage: two fifths a grid, the rest in two halves."""
        grid = 2 * self.trials // 5
        random = (self.trials - grid + 1) // 2
        return grid, random, self.trials - grid - random

    def share(self, asked: Sequence[int | None]) -> int:
        """The trials of each stage that does not say how many: an even share of what the others leave, ≥ 1.

        Args:
            asked: by stage; None where it does not say.
        """
        silent = sum(each is None for each in asked)
        left = self.trials - sum(each for each in asked if each is not None)
        return max(left // max(silent, 1), 1)


EFFORTS: Final[Mapping[PresetSize, SearchEffort]] = MappingProxyType(
    {
        PresetSize.CONSERVATIVE: SearchEffort(trials=5, seconds=600.0),
        PresetSize.DEFAULT: SearchEffort(trials=50, seconds=3600.0),
        PresetSize.AGGRESSIVE: SearchEffort(trials=100, seconds=7200.0),
    }
)
"""The effort by `config_type`."""

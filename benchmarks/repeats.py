"""Fair measuring: contenders take turns in one run, and medians are compared.

Machines are noisy: a figure alone says little, the ratio of two that were measured in turn says more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

Measure = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Figures:
    """Repeated measurements of one contender, in the order they were taken."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.values)

    @property
    def spread(self) -> str:
        """All of them, for notes: how noisy the machine was."""
        return ", ".join(f"{each:.3g}" for each in self.values)


def in_turn(
    contenders: Mapping[str, Measure], *, repeats: int, warm_up: Mapping[str, Measure] | None = None
) -> dict[str, Figures]:
    """Measures every contender `repeats` times, one after the other, round by round.

    Args:
        contenders: name → a function that does the work once and gives its figure.
        warm_up: called once before all else, such as a smaller piece of the same work: what a peer
            does only once (imports, connections, plans) is not held against it.

    Every other round goes backwards, so that what one leaves behind (dirty pages, a full write-ahead
    log) does not always meet the same one.
    """
    for warm in (warm_up or {}).values():
        warm()
    values: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(repeats):
        order = list(contenders)
        for name in order if turn % 2 == 0 else reversed(order):
            values[name].append(contenders[name]())
            print(f"  {name}: {values[name][-1]:.4g}", flush=True)
    return {name: Figures(tuple(found)) for name, found in values.items()}

"""When trials began and ended, as `timed_worker` wrote it down, and how long slots stood empty between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TrialTime:
    """One trial on one worker: seconds of the machine's monotonic clock, the same for all processes."""

    began: float
    ended: float


def read_times(folder: Path) -> dict[str, list[TrialTime]]:
    """Reads what the workers of a folder wrote, one file each. Returns: trials by worker."""
    return {
        path.stem: [
            TrialTime(*(float(each) for each in line.split()))
            for line in path.read_text("utf-8").splitlines()
        ]
        for path in sorted(folder.glob("*.times"))
    }


def gaps(times: Sequence[TrialTime], slots: int) -> list[float]:
    """Gives the seconds each freed slot of one worker stood empty, in the order they were freed.

    With n slots the k-th end frees the slot in which trial k + n begins, whichever slot that is: no other
    one was free before it.

    Args:
        times: of trials that filled all slots of the worker from the first one on.
    """
    began = sorted(each.began for each in times)
    ended = sorted(each.ended for each in times)
    return [start - end for end, start in zip(ended, began[slots:], strict=False)]

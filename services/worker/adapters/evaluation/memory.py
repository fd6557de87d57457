"""How much memory processes really use: what only they have, not the datasets mapped into all of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress

import psutil

_OWN = (b"RssAnon:", b"RssShmem:", b"VmSwap:")
_PROPORTIONAL = (b"Pss_Anon:", b"Pss_Shmem:", b"SwapPss:")


def resident(pid: int) -> int:
    """Gives the bytes of memory and swap a process has for itself; 0 when it is gone."""
    if sys.platform != "linux":
        with suppress(psutil.Error):
            return int(psutil.Process(pid).memory_info().rss)
        return 0
    return _kilobytes(f"/proc/{pid}/status", _OWN) or 0


def resident_together(pids: Sequence[int], *, limit: int | None) -> int:
    """Gives what processes have together, in bytes.

    Forked processes share pages until they write to them. Such pages are counted once, which takes
    the kernel its time and is done only where it decides whether the sum is above `limit`.
    """
    total = sum(map(resident, pids))
    if len(pids) == 1 or limit is None or total <= limit or sys.platform != "linux":
        return total
    shares = [_kilobytes(f"/proc/{pid}/smaps_rollup", _PROPORTIONAL) for pid in pids]
    known = [each for each in shares if each is not None]
    return sum(known) if known else total


def _kilobytes(path: str, names: tuple[bytes, ...]) -> int | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 (read each half second)
            lines = file.read().splitlines()
    except OSError:
        return None
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(names))

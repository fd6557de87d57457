"""A child's family: whatever it started, found by descent and by the marks it was born with.

A process that makes itself the leader of its own session leaves the child's process group, and one
whose parent ended leaves the line of descent: only what it has inherited stays. The child adopts its
orphans (on Linux), so that as long as it lives descent finds them all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress

import psutil

from services.worker.adapters.evaluation.marks import bears

# The kernel lists children where it was built with checkpoints, as distributions do.
_LISTS_CHILDREN = os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children")  # noqa: PTH110 (no path of ours)

_ROUNDS = 100
_ROUND_SECONDS = 0.02
_CLEAN_ROUNDS = 2


def descendants(pid: int) -> list[int]:
    """Lists what a process started, what that started, and so on; quick enough for every half second."""
    if not _LISTS_CHILDREN:
        with suppress(psutil.Error):
            return [each.pid for each in psutil.Process(pid).children(recursive=True)]
        return []
    found: list[int] = []
    left = [pid]
    while left:
        children = _children(left.pop())
        found += children
        left += children
    return found


def processes(pids: Iterable[int]) -> set[psutil.Process]:
    """Gives processes that know themselves again even when their number is another's by then."""
    found = set()
    for pid in pids:
        with suppress(psutil.Error):
            found.add(psutil.Process(pid))
    return found


def relatives_of(pid: int, seen: Iterable[int]) -> set[psutil.Process]:
    """Gives those of the processes seen below one that are still below it.

    A number seen a moment ago may be another's by now, of which a stranger is the parent.
    """
    numbers = set(seen)
    found = set()
    for each in processes(numbers):
        with suppress(psutil.Error):
            if each.ppid() in numbers | {pid}:
                found.add(each)
    return found


def marked(mark: str) -> set[psutil.Process]:
    """Finds the living that were born with a mark, this process excepted; none but on Linux.

    Args:
        mark: a family's, or the beginning of many families' marks.
    """
    found = set()
    own = os.getpid()
    with suppress(OSError):
        for name in os.listdir("/proc"):  # noqa: PTH208 (a hot loop over names)
            if not name.isdecimal() or int(name) == own:
                continue
            if bears(int(name), mark):
                # One that ended keeps its limits until somebody asks how it ended.
                found |= {each for each in processes([int(name)]) if _lives(each)}
    return found


def end_family(mark: str, known: set[psutil.Process]) -> int:
    """Kills the living of a family, those `known` and those found, until none is left.

    Blocks for milliseconds, two seconds at most.

    Returns: how many were killed.
    """
    killed: set[psutil.Process] = set()
    clean = 0
    for _ in range(_ROUNDS):
        family = set(known) | marked(mark)
        # Of the living alone: a number whose process ended may be anyone's by now, with children of its own.
        for each in [each for each in family if _lives(each)]:
            found = processes(descendants(each.pid))
            if _lives(each):
                family |= found
        living = {each for each in family if _lives(each)}
        if not living:
            clean += 1
            # One that was being born while its parent was killed is found the second time.
            if clean == _CLEAN_ROUNDS or not killed:
                break
        for each in living:
            with suppress(psutil.Error):
                each.kill()
        killed |= living
        known = family
        time.sleep(_ROUND_SECONDS)
    return len(killed)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 (a hot loop over names)
            path = f"/proc/{pid}/task/{thread}/children"
            with suppress(OSError), open(path, "rb") as children:  # noqa: PTH123 (as above)
                found += map(int, children.read().split())
    return found

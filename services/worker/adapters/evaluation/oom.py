"""Telling the want of memory from other ends of a process."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

# The control group's count first: the machine's counts everybody's.
_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))

# What Python and the run-time libraries of C++ say last when memory is refused where nobody can catch it.
_LAST_WORDS = ("std::bad_alloc", "MemoryError", "Cannot allocate memory")


def oom_kills() -> int:
    """Counts the kernel's kills for want of memory so far; 0 where it does not say."""
    for path in _COUNTERS:
        with suppress(OSError, ValueError):
            for line in path.read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    return int(value)
    return 0


def ran_out_of_memory(last_output: str) -> bool:
    """Whether a process that died said at its end that it was refused memory."""
    return any(each in last_output[-2048:] for each in _LAST_WORDS)

"""What a child may use before it is ended or replaced."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

MIB = 1024 * 1024

# The rest is for the worker itself, the page cache of datasets, and everything else on the machine.
_SHARE_FOR_TRIALS = 0.8
_SMALLEST_SHARE = 512 * MIB
# Of a trial's memory: what it needs for itself decides whether it succeeds.
_SHARE_FOR_PREFIXES = 1 / 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildLimits:
    """Limits on every child of a pool.

    Attributes:
        memory_bytes: of a trial's processes together; None for no limit.
        growth_bytes: by how much a child may be larger after a trial than after its first one on the
            same data, before another child takes its place.
        max_evaluations: how many assignments a child evaluates before another takes its place.
        prefix_bytes: what a child may keep of preprocessed folds; 0 for nothing.
    """

    memory_bytes: int | None = None
    growth_bytes: int = 512 * MIB
    max_evaluations: int = 50_000
    prefix_bytes: int = 256 * MIB

    @property
    def prefix_cache_bytes(self) -> int:
        """Gives what a child keeps of preprocessed folds at most: an eighth of its memory, or less."""
        if self.memory_bytes is None:
            return self.prefix_bytes
        return min(self.prefix_bytes, int(self.memory_bytes * _SHARE_FOR_PREFIXES))


def share_of_memory(slots: int) -> int:
    """Gives each of so many slots an equal part of the memory there is, in bytes; at least 512 MiB."""
    return max(_SMALLEST_SHARE, int(_memory() * _SHARE_FOR_TRIALS) // slots)


def _memory() -> int:
    """Gives the memory this process may use: the machine's, or its control groups' limit if lower."""
    limits = [int(psutil.virtual_memory().total), *_group_limits()]
    return min(limits)


def _group_limits(
    membership: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> list[int]:
    """Lists the limits of this process's control groups, of both versions, up to the root."""
    found: list[int] = []
    with suppress(OSError):
        for line in membership.read_text().splitlines():
            _, _, controllers_and_path = line.partition(":")
            controllers, _, path = controllers_and_path.partition(":")
            if controllers == "":
                base, name = root, "memory.max"
            elif "memory" in controllers.split(","):
                base, name = root / "memory", "memory.limit_in_bytes"
            else:
                continue
            group = Path(os.path.normpath(f"{base}/{path}"))
            # Inside a container the path may name a group that only the host can see: what is mounted
            # there as the root is the container's own.
            inside = [each for each in (group, *group.parents) if each.is_relative_to(base)]
            for folder in inside or [base]:
                with suppress(OSError, ValueError):  # ValueError: "max"
                    found.append(int((folder / name).read_text()))
    return [each for each in found if each > 0]

"""Marks that everything a child starts inherits: in its environment, and in a limit nobody uses.

A process may be started with an empty environment. Limits of resources are inherited in any case: by
processes in sessions of their own, and by those whose parents are gone. That on the processor time
between two sleeps under real-time scheduling is, in microseconds, so long here that it limits nothing
(tens of thousands of years), and no ordinary process can raise it again. On Linux alone.
"""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress

MARK = "CRESCENDO_FAMILY"
"""The variable that holds a family's mark."""

_OWNER_BITS = 40
_NUMBER_BITS = 20
# Both above what anybody would set.
_HARD = 1 << (_OWNER_BITS + _NUMBER_BITS + 1)
_SOFT = 1 << (_OWNER_BITS + _NUMBER_BITS)


def new_owner() -> str:
    """Makes what the marks of all families of one worker begin with."""
    return f"{os.urandom(16).hex()}."


def family_mark(owner: str, number: int) -> str:
    """Makes the mark of one family.

    Args:
        owner: its worker's beginning of marks.
        number: of the family among its worker's, ≥ 0.
    """
    return f"{owner}{number}."


def limits_of(mark: str) -> tuple[int | None, int] | None:
    """Gives the soft and the hard limit that stand for a mark, in microseconds.

    Returns: no soft limit for the beginning of a worker's marks, which all its families share the hard
        one of; None when it is no mark of these.
    """
    owner, _, rest = mark.partition(".")
    try:
        place = int(owner[: _OWNER_BITS // 4], 16) << _NUMBER_BITS
        number = int(rest.rstrip(".")) % (1 << _NUMBER_BITS) if rest else None
    except ValueError:
        return None
    return None if number is None else _SOFT + place + number, _HARD + place


def bear(mark: str) -> None:
    """Marks this process and all it will start; where that cannot be, its environment has to do."""
    limits = limits_of(mark)
    if sys.platform == "linux" and limits is not None and limits[0] is not None:
        # Refused below a lower limit, as in a process that somebody else has limited.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_RTTIME, (limits[0], limits[1]))


def bears(pid: int, mark: str) -> bool:
    """Whether a process was born with a mark, or with one that begins so; False where nobody may look."""
    if _is_limited(pid, mark):
        return True
    with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as environ:  # noqa: PTH123 (a hot loop)
        return f"{MARK}={mark}".encode() in environ.read()
    return False


def _is_limited(pid: int, mark: str) -> bool:
    limits = limits_of(mark)
    if sys.platform == "linux" and limits is not None:
        with suppress(OSError):
            soft, hard = resource.prlimit(pid, resource.RLIMIT_RTTIME)
            return hard == limits[1] and limits[0] in (None, soft)
    return False

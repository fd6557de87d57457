"""Outlives a worker by a moment, to end what its children left: `python -m services.worker.guard MARK`.

The kernel ends the children of a killed worker. What those had started lives on, perhaps in sessions
of its own. This process waits until the worker's end of a pipe is closed, by whatever ended it, kills
that, and ends. It finds it by the marks of the worker's families. The worker tells it besides which
processes it saw, for where there are no marks, one a line: the id, and when it began, for ids are
given to others later.
"""

from __future__ import annotations

import signal
import sys
import time

import psutil

from services.worker.adapters.evaluation.family import end_family, processes

_KEPT = 4096
# Two looks at one process differ by the rounding of the machine's start alone.
_SAME_SECONDS = 1.0
_ONCE_MORE_SECONDS = 0.1


def main() -> None:
    """Waits for the end of standard input, then ends the families."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Meant for the worker, which says by its end when there is something to do.
        signal.signal(number, signal.SIG_IGN)
    mark = sys.argv[1]
    seen: set[psutil.Process] = set()
    for line in sys.stdin:
        seen |= _told(line)
        if len(seen) > _KEPT:
            seen = {each for each in seen if each.is_running()}
    end_family(mark, seen)
    # One that was being born while its parent ended by itself may have been missed.
    time.sleep(_ONCE_MORE_SECONDS)
    end_family(mark, seen)


def _told(line: str) -> set[psutil.Process]:
    """Gives the process a line names, unless it has ended."""
    try:
        pid, began = line.split()
        return {
            each
            for each in processes([int(pid)])
            if abs(each.create_time() - float(began)) < _SAME_SECONDS
        }
    except (ValueError, psutil.Error):
        return set()


if __name__ == "__main__":
    main()

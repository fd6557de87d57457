"""A worker's child: evaluates assignments until its parent goes away.

`python -m services.worker.child PARENT_PID MEMORY_BYTES PREFIX_BYTES`; a memory of 0 stands for no
limit, and with PREFIX_BYTES of 0 no preprocessed folds are kept.

Requests come over stdin, answers go to what was stdout; whatever estimators print goes to stderr.
"""

from __future__ import annotations

import ctypes
import os
import queue
import resource
import signal
import sys
import threading
import warnings
from contextlib import suppress
from typing import BinaryIO

from services.worker.adapters.evaluation.marks import MARK, bear

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# Among the first to go when the machine runs out of memory: a child is replaced, its worker is not.
_OOM_SCORE_ADJUSTMENT = b"500"


def main() -> None:
    """Answers requests until stdin ends."""
    _die_with(int(sys.argv[1]))
    bear(os.environ.get(MARK, ""))
    # A crash is reported by its signal; a core file of gigabytes would only fill the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit_memory(int(sys.argv[2]))
    requests_in = os.fdopen(os.dup(0), "rb")
    answers_out = os.fdopen(os.dup(1), "wb", buffering=0)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 (a device, not a path of ours)
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests_in, requests), daemon=True).start()

    # Imported only now, so that a parent that dies meanwhile takes this process along.
    from services.worker.adapters.evaluation.conversation import Conversation  # noqa: PLC0415 (see above)
    from services.worker.adapters.evaluation.shortcuts import known_answers  # noqa: PLC0415 (see above)

    # A search that tries 10,000 candidates would log 50,000 times that a solver did not converge.
    warnings.simplefilter("ignore")
    conversation = Conversation(answers_out, requests, prefix_bytes=int(sys.argv[3]))
    with known_answers():
        conversation.greet()
        while True:
            conversation.answer(requests.get())


def _die_with(parent: int) -> None:
    """Has the kernel kill this process when its parent dies, even inside a long call into C."""
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # Whatever estimators start stays in the line of descent, where the parent looks for it.
        prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def _limit_memory(limit: int) -> None:
    if limit:
        # A MemoryError costs the trial alone; its parent's limit, by what is resident, the process.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    with suppress(OSError), open("/proc/self/oom_score_adj", "wb") as file:  # noqa: PTH123 (no path of ours)
        file.write(_OOM_SCORE_ADJUSTMENT)


def _receive(source: BinaryIO, requests: queue.SimpleQueue[bytes]) -> None:
    from services.worker.adapters.evaluation.framing import read_frame  # noqa: PLC0415 (once tied to the parent's end)

    try:
        while (message := read_frame(source)) is not None:
            requests.put(message)
    finally:
        # The parent is gone, or wants us gone: whatever runs has nobody to report to.
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(0)


if __name__ == "__main__":
    main()
